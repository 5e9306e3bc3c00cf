"""The user authentication service in Flask, SQLAlchemy and bcrypt."""

import os
from uuid import uuid4

import bcrypt
from flask import Flask, abort, jsonify, redirect, request
from sqlalchemy import create_engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

COST = 10

engine = create_engine("sqlite:///" + os.environ["PEER_DB"])
app = Flask(__name__)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True, index=True)
    hashed_password: Mapped[bytes]
    session_id: Mapped[str | None] = mapped_column(index=True)
    reset_token: Mapped[str | None] = mapped_column(index=True)


def hash_password(password: str) -> bytes:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(COST))


def find_user(db: Session, **wanted: str) -> User | None:
    return db.scalar(select(User).filter_by(**wanted))


def session_user(db: Session) -> User:
    session_id = request.cookies.get("session_id")
    user = session_id and find_user(db, session_id=session_id)
    return user or abort(403)


@app.get("/")
def index():
    return jsonify({"message": "Bienvenue"})


@app.post("/users")
def register():
    email, password = request.form["email"], request.form["password"]
    taken = jsonify({"message": "email already registered"}), 400
    with Session(engine) as db:
        if find_user(db, email=email):
            return taken
        db.add(User(email=email, hashed_password=hash_password(password)))
        try:
            db.commit()
        except IntegrityError:
            return taken
    return jsonify({"email": email, "message": "user created"})


@app.post("/sessions")
def log_in():
    email, password = request.form["email"], request.form["password"]
    with Session(engine) as db:
        user = find_user(db, email=email)
        if user is None or not bcrypt.checkpw(password.encode(), user.hashed_password):
            abort(401)
        session_id = str(uuid4())
        user.session_id = session_id
        db.commit()
    response = jsonify({"email": email, "message": "logged in"})
    response.set_cookie("session_id", session_id)
    return response


@app.delete("/sessions")
def log_out():
    with Session(engine) as db:
        session_user(db).session_id = None
        db.commit()
    return redirect("/")


@app.get("/profile")
def profile():
    with Session(engine) as db:
        return jsonify({"email": session_user(db).email})


@app.post("/reset_password")
def reset_token():
    email = request.form["email"]
    with Session(engine) as db:
        user = find_user(db, email=email) or abort(403)
        token = str(uuid4())
        user.reset_token = token
        db.commit()
    return jsonify({"email": email, "reset_token": token})


@app.put("/reset_password")
def update_password():
    email, token = request.form["email"], request.form["reset_token"]
    with Session(engine) as db:
        user = find_user(db, reset_token=token) or abort(403)
        user.hashed_password = hash_password(request.form["new_password"])
        user.reset_token = None
        db.commit()
    return jsonify({"email": email, "message": "Password updated"})


if __name__ == "__main__":
    with engine.connect() as connection:
        # The file remembers it: readers do not wait for the writer in the other worker.
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    Base.metadata.create_all(engine)
