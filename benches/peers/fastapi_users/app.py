"""A user authentication service out of FastAPI Users: its own routes, its own tables."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator

from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, CookieTransport
from fastapi_users.authentication.strategy.db import DatabaseStrategy
from fastapi_users.password import PasswordHelper
from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users_db_sqlalchemy.access_token import (
    SQLAlchemyAccessTokenDatabase,
    SQLAlchemyBaseAccessTokenTableUUID,
)
from pwdlib import PasswordHash
from pwdlib.hashers.bcrypt import BcryptHasher
from sqlalchemy import Index, func
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

COST = 10
LIFETIME_SECONDS = 14 * 24 * 3600

engine = create_async_engine("sqlite+aiosqlite:///" + os.environ["PEER_DB"])
new_session = async_sessionmaker(engine, expire_on_commit=False)
password_helper = PasswordHelper(PasswordHash((BcryptHasher(rounds=COST),)))


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    pass


# The adapter looks for lower(email); without this index it reads the whole table.
Index("ix_user_lower_email", func.lower(User.email))


class AccessToken(SQLAlchemyBaseAccessTokenTableUUID, Base):
    pass


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    pass


class UserRead(schemas.BaseUser[uuid.UUID]):
    pass


class UserCreate(schemas.BaseUserCreate):
    pass


class UserUpdate(schemas.BaseUserUpdate):
    pass


async def get_db() -> AsyncIterator[AsyncSession]:
    async with new_session() as db:
        yield db


async def get_user_manager(db: AsyncSession = Depends(get_db)) -> UserManager:
    return UserManager(SQLAlchemyUserDatabase(db, User), password_helper)


async def get_strategy(db: AsyncSession = Depends(get_db)) -> DatabaseStrategy:
    return DatabaseStrategy(SQLAlchemyAccessTokenDatabase(db, AccessToken), LIFETIME_SECONDS)


backend = AuthenticationBackend(
    name="cookie",
    transport=CookieTransport(
        cookie_name="session_id",
        cookie_max_age=LIFETIME_SECONDS,
        # The benchmark speaks plain HTTP.
        cookie_secure=False,
    ),
    get_strategy=get_strategy,
)
users = FastAPIUsers[User, uuid.UUID](get_user_manager, [backend])

app = FastAPI()
app.include_router(users.get_register_router(UserRead, UserCreate), prefix="/auth")
app.include_router(users.get_auth_router(backend), prefix="/auth/cookie")
app.include_router(users.get_users_router(UserRead, UserUpdate), prefix="/users")


async def create_tables() -> None:
    async with engine.connect() as connection:
        # The file remembers it: readers do not wait for the writer in the other worker.
        await connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(create_tables())
