//! The tables of a backup, which are all that the schema has, but for what another takes the place of at once.

use std::fmt::Write;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number of 64 bits.
    Number,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
}

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its primary key. Rows are copied in its order, in which they are added the fastest.
    pub key: &'static str,
    /// Its columns.
    pub columns: &'static [(&'static str, Kind)],
    /// Whether it counts ids up by itself, in the column `id`.
    pub counts_ids: bool,
    /// Whether its rows belong to a user, by the column `user_id`.
    pub is_of_user: bool,
}

/// The tables, those first that others refer to. A test compares them with the schema on both engines.
pub const TABLES: &[Table] = &[
    Table {
        name: "users",
        key: "id",
        columns: &[
            ("id", Kind::Number),
            ("email", Kind::Text),
            ("hashed_password", Kind::Text),
            ("password_version", Kind::Number),
            ("created_at", Kind::Number),
            ("locked_at", Kind::Number),
            ("email_confirmed_at", Kind::Number),
        ],
        counts_ids: true,
        is_of_user: false,
    },
    Table {
        name: "user_groups",
        key: "user_id, name",
        columns: &[("user_id", Kind::Number), ("name", Kind::Text)],
        counts_ids: false,
        is_of_user: true,
    },
    Table {
        name: "sessions",
        key: "digest",
        columns: &[
            ("digest", Kind::Bytes),
            ("user_id", Kind::Number),
            ("password_version", Kind::Number),
            ("created_at", Kind::Number),
            ("last_seen_at", Kind::Number),
            ("client", Kind::Text),
            ("source", Kind::Bytes),
        ],
        counts_ids: false,
        is_of_user: true,
    },
    Table {
        name: "reset_tokens",
        key: "user_id",
        columns: &[
            ("user_id", Kind::Number),
            ("digest", Kind::Bytes),
            ("password_version", Kind::Number),
            ("created_at", Kind::Number),
            ("mailed", Kind::Number),
        ],
        counts_ids: false,
        is_of_user: true,
    },
    Table {
        name: "sign_ups",
        key: "email",
        columns: &[
            ("email", Kind::Text),
            ("digest", Kind::Bytes),
            ("mailed", Kind::Number),
            ("created_at", Kind::Number),
        ],
        counts_ids: false,
        is_of_user: false,
    },
    Table {
        name: "pending_addresses",
        key: "user_id",
        columns: &[
            ("user_id", Kind::Number),
            ("email", Kind::Text),
            ("digest", Kind::Bytes),
            ("mailed", Kind::Number),
            ("password_version", Kind::Number),
            ("asked_at", Kind::Number),
            ("issued_at", Kind::Number),
        ],
        counts_ids: false,
        is_of_user: true,
    },
    Table {
        name: "past_addresses",
        key: "id",
        columns: &[
            ("id", Kind::Number),
            ("user_id", Kind::Number),
            ("email", Kind::Text),
            ("undo_digest", Kind::Bytes),
            ("mailed", Kind::Number),
            ("changed_at", Kind::Number),
        ],
        counts_ids: true,
        is_of_user: true,
    },
    Table {
        name: "familiar_sources",
        key: "digest",
        columns: &[
            ("digest", Kind::Bytes),
            ("user_id", Kind::Number),
            ("password_version", Kind::Number),
            ("last_proof_at", Kind::Number),
        ],
        counts_ids: false,
        is_of_user: true,
    },
    // Carried too: a move to another database gives no one who guesses passwords a fresh start.
    Table {
        name: "throttles",
        key: "digest",
        columns: &[("digest", Kind::Bytes), ("full_at", Kind::Number)],
        counts_ids: false,
        is_of_user: false,
    },
    Table {
        name: "outbox",
        key: "id",
        columns: &[
            ("id", Kind::Number),
            ("kind", Kind::Text),
            ("email", Kind::Text),
            ("asked_at", Kind::Number),
            ("due_at", Kind::Number),
            ("quiet_until", Kind::Number),
            ("attempts", Kind::Number),
            ("claim", Kind::Bytes),
            ("network", Kind::Text),
            ("turn", Kind::Number),
            ("language", Kind::Text),
            ("client", Kind::Text),
            ("source", Kind::Bytes),
        ],
        counts_ids: true,
        is_of_user: false,
    },
];

/// The tables that are not copied. Tickets are good for a minute. A session at an app is of a session that is
/// copied: with that the next request for the app gets another one, which the user does not notice.
pub const TABLES_LEFT_OUT: &[&str] = &["tickets", "app_sessions"];

impl Table {
    /// Finds the rows, in the order of the key.
    pub fn select(&self) -> String {
        let (columns, key) = (self.column_names(), self.key);
        format!("SELECT {columns} FROM {} ORDER BY {key}", self.source())
    }

    /// Counts what [`select`](Self::select) finds, as `count`.
    pub fn count(&self) -> String {
        format!("SELECT count(*) AS count FROM {}", self.source())
    }

    /// Adds so many rows.
    pub fn insert(&self, rows: usize) -> String {
        let mut text = format!(
            "INSERT INTO {} ({}) VALUES ",
            self.name,
            self.column_names()
        );
        let mut placeholder = 0;
        for row in 0..rows {
            text += if row == 0 { "(" } else { ", (" };
            for column in 0..self.columns.len() {
                placeholder += 1;
                let comma = if column == 0 { "" } else { ", " };
                let _ = write!(text, "{comma}${placeholder}");
            }
            text += ")";
        }
        text
    }

    /// The rows that mean something. A program that leaves foreign keys off can leave rows behind in
    /// SQLite that belong to no user: they match nothing, and PostgreSQL does not take them.
    fn source(&self) -> String {
        let name = self.name;
        if self.is_of_user {
            format!("{name} WHERE EXISTS (SELECT 1 FROM users WHERE users.id = {name}.user_id)")
        } else {
            name.to_owned()
        }
    }

    fn column_names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }
}
