//! What is found: a line for each, printed when it is found.

use std::process::ExitCode;

use crate::cli::output::{Cell, Rows};

/// Prints what is found.
pub struct Findings {
    rows: Rows<3>,
    has_failed: bool,
}

impl Findings {
    /// As a table, or as JSON.
    pub fn new(is_json: bool) -> Self {
        Self {
            rows: Rows::new(["result", "check", "message"], is_json),
            has_failed: false,
        }
    }

    /// Nothing is to be done.
    pub fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.print("ok", check, message.into());
    }

    /// The service runs, but worse or less safely than it could. The message ends with what to do.
    pub fn warn(&mut self, check: &'static str, message: impl Into<String>) {
        self.print("warn", check, message.into());
    }

    /// The service does not run, or something that it is for does not work. The message ends with what to do.
    pub fn fail(&mut self, check: &'static str, message: impl Into<String>) {
        self.has_failed = true;
        self.print("fail", check, message.into());
    }

    fn print(&mut self, result: &str, check: &str, message: String) {
        let row = [result.to_owned(), check.to_owned(), message].map(Cell::from);
        // Whatever reads it may have read enough; the exit code says the rest.
        let _ = self.rows.write([row]);
    }

    /// 1 if something failed, else 0.
    pub fn exit_code(&self) -> ExitCode {
        if self.has_failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}
