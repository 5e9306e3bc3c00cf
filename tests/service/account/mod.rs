//! What people do with their account by a session of theirs.

mod deletion;
mod fresh;
mod me;
mod pages;
mod password;
mod races;
mod secrets;
mod sessions;

use serde_json::Value;

use crate::support::client::{Call, Client};

const EMAIL: &str = "bob@example.org";
const OTHER: &str = "eve@example.org";
const PASSWORD: &str = "b4l0u";

impl Client {
    /// Asks for the sessions of a user.
    pub fn list_sessions(&self, session: &str) -> Call {
        self.get("/sessions").session(session)
    }

    /// Asks to end a session, which is named by its id in the list.
    pub fn end_session(&self, session: &str, id: &str) -> Call {
        self.request("DELETE", &format!("/sessions/{id}"))
            .session(session)
    }

    /// Asks to end all other sessions.
    pub fn end_others(&self, session: &str) -> Call {
        self.request("DELETE", "/sessions/others").session(session)
    }

    /// Asks to delete the user.
    pub fn delete_user(&self, session: &str) -> Call {
        self.request("DELETE", "/users").session(session)
    }

    /// Asks to change the password.
    pub fn change_password(&self, session: &str, password: &str, new_password: &str) -> Call {
        let form = [("password", password), ("new_password", new_password)];
        self.put("/profile/password", &form).session(session)
    }

    /// The sessions of a user, who is logged in.
    pub async fn sessions(&self, session: &str) -> Vec<Value> {
        let reply = self.list_sessions(session).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["sessions"].as_array().unwrap().clone()
    }

    /// By which a session is named in the list.
    pub async fn id_of(&self, session: &str) -> String {
        let sessions = self.sessions(session).await;
        let current = sessions.iter().find(|session| session["current"] == true);
        current.unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// What takes a fresh session, each with the path of the page on which people do it.
    pub fn calls_of_fresh(&self, session: &str, other: &str) -> [(Call, &'static str); 4] {
        [
            (self.end_session(session, other), "/sessions?ended=none"),
            (self.end_others(session), "/sessions?ended=none"),
            (self.delete_user(session), "/users/me"),
            (
                self.ask_address(session, "new@example.org"),
                "/profile/email",
            ),
        ]
    }
}
