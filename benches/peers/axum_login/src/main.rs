//! A user authentication service in axum and axum-login, with its sessions in SQLite too.

use std::env;
use std::error::Error;

use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_login::tower_sessions::SessionManagerLayer;
use axum_login::{AuthManagerLayerBuilder, AuthUser, AuthnBackend};
use serde::Deserialize;
use serde_json::json;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use tokio::net::TcpListener;
use tokio::task::{JoinError, spawn_blocking};
use tower_sessions_sqlx_store::SqliteStore;

const COST: u32 = 10;

type AuthSession = axum_login::AuthSession<Users>;

#[derive(Clone, Debug, sqlx::FromRow)]
struct User {
    id: i64,
    email: String,
    hashed_password: String,
}

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.hashed_password.as_bytes()
    }
}

#[derive(Deserialize)]
struct Credentials {
    email: String,
    password: String,
}

#[derive(Clone)]
struct Users {
    db: SqlitePool,
}

#[derive(Debug, thiserror::Error)]
enum BackendError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Bcrypt(#[from] bcrypt::BcryptError),
    #[error(transparent)]
    Task(#[from] JoinError),
}

impl AuthnBackend for Users {
    type User = User;
    type Credentials = Credentials;
    type Error = BackendError;

    async fn authenticate(&self, credentials: Credentials) -> Result<Option<User>, BackendError> {
        let user: Option<User> = sqlx::query_as("SELECT * FROM users WHERE email = ?")
            .bind(&credentials.email)
            .fetch_optional(&self.db)
            .await?;
        let Some(user) = user else { return Ok(None) };
        spawn_blocking(move || {
            let matches = bcrypt::verify(&credentials.password, &user.hashed_password)?;
            Ok(matches.then_some(user))
        })
        .await?
    }

    async fn get_user(&self, id: &i64) -> Result<Option<User>, BackendError> {
        let user = sqlx::query_as("SELECT * FROM users WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.db)
            .await?;
        Ok(user)
    }
}

impl Users {
    async fn register(&self, credentials: Credentials) -> Result<String, BackendError> {
        let Credentials { email, password } = credentials;
        let hashed_password = spawn_blocking(move || bcrypt::hash(password, COST)).await??;
        sqlx::query("INSERT INTO users (email, hashed_password) VALUES (?, ?)")
            .bind(&email)
            .bind(hashed_password)
            .execute(&self.db)
            .await?;
        Ok(email)
    }
}

fn message(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "message": text }))).into_response()
}

fn internal_error(error: impl std::fmt::Display) -> Response {
    eprintln!("{error}");
    message(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
}

async fn register(State(users): State<Users>, Form(credentials): Form<Credentials>) -> Response {
    match users.register(credentials).await {
        Ok(email) => Json(json!({ "email": email, "message": "user created" })).into_response(),
        Err(BackendError::Database(sqlx::Error::Database(error)))
            if error.is_unique_violation() =>
        {
            message(StatusCode::BAD_REQUEST, "email already registered")
        }
        Err(error) => internal_error(error),
    }
}

async fn log_in(mut session: AuthSession, Form(credentials): Form<Credentials>) -> Response {
    let user = match session.authenticate(credentials).await {
        Ok(Some(user)) => user,
        Ok(None) => return message(StatusCode::UNAUTHORIZED, "wrong email or password"),
        Err(error) => return internal_error(error),
    };
    match session.login(&user).await {
        Ok(()) => Json(json!({ "email": user.email, "message": "logged in" })).into_response(),
        Err(error) => internal_error(error),
    }
}

async fn profile(session: AuthSession) -> Response {
    match session.user {
        Some(user) => Json(json!({ "email": user.email })).into_response(),
        None => message(StatusCode::FORBIDDEN, "not logged in"),
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(port), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("usage: axum-login-peer PORT DATABASE_FILE".into());
    };

    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal);
    let db = SqlitePool::connect_with(options).await?;
    sqlx::query(
        "CREATE TABLE IF NOT EXISTS users (
            id INTEGER PRIMARY KEY,
            email TEXT NOT NULL UNIQUE,
            hashed_password TEXT NOT NULL
        )",
    )
    .execute(&db)
    .await?;
    let sessions = SqliteStore::new(db.clone());
    sessions.migrate().await?;

    let users = Users { db };
    let session_layer = SessionManagerLayer::new(sessions)
        .with_name("session_id")
        // The benchmark speaks plain HTTP.
        .with_secure(false);
    let app = Router::new()
        .route("/users", post(register))
        .route("/sessions", post(log_in))
        .route("/profile", get(profile))
        .layer(AuthManagerLayerBuilder::new(users.clone(), session_layer).build())
        .with_state(users);

    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    axum::serve(listener, app).await?;
    Ok(())
}
