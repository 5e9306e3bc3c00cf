//! Where nobody can sign up.

use bienvenue::app::Settings;
use bienvenue::auth::SignUpMode;

use super::{EMAIL, NEW, PASSWORD, app_without_mail};
use crate::on_each_engine;

const CLOSED: &str = "sign-up is closed";

on_each_engine! {
    async fn nobody_can_sign_up_and_users_log_in_as_ever(database: Database) {
        let app = app_without_mail(database).await;
        let token = app.sign_up_token(NEW).await;
        let app = app.with_rules(|auth| auth.with_sign_up(SignUpMode::Closed));
        for call in [
            app.register(NEW, PASSWORD),
            app.register(EMAIL, PASSWORD),
            app.ask_sign_up(NEW),
            app.post("/users", &[]),
            app.finish_sign_up(NEW, &token, PASSWORD),
        ] {
            app.assert_refused(call, 403, CLOSED).await;
        }
        assert!(app.can_log_in(EMAIL, PASSWORD).await);
        let token = app.reset_token(EMAIL).await;
        assert_eq!(app.reset(EMAIL, &token, "new").send().await.status, 200);
    }

    async fn people_are_told_so_and_are_not_led_there(database: Database) {
        let app = app_without_mail(database).await;
        let link = format!("/users?email={NEW}&sign_up_token={}", app.sign_up_token(NEW).await);
        let app = app.with_rules(|auth| auth.with_sign_up(SignUpMode::Closed));
        let before = app.inside.all_rows().await;
        for call in [
            app.get("/users"),
            app.get(&link),
            app.register(NEW, PASSWORD),
            app.post("/users", &[("_method", "PUT"), ("email", NEW), ("password", PASSWORD)]),
        ] {
            let page = call.by_browser().send().await.assert_page(403);
            assert_eq!(page.text("h1"), "Sign-up is closed");
            assert_eq!(page.all("form").len(), 0);
        }
        assert_eq!(app.inside.all_rows().await, before);
        for path in ["/", "/sessions", "/sessions?next=/app", "/reset_password"] {
            let page = app.get(path).by_browser().send().await.assert_page(200);
            assert_eq!(page.all("main a[href^='/users']").len(), 0, "{path}");
            // Where they can sign up, they are led there.
            let open = app.signing_up(SignUpMode::Verified);
            let page = open.get(path).by_browser().send().await.assert_page(200);
            assert_eq!(page.all("main a[href^='/users']").len(), 1, "{path}");
        }
        let page = app.exposed(Settings::default()).get("/profile").by_browser().send().await.assert_page(403);
        assert_eq!(page.all("main a[href^='/users']").len(), 0);
    }
}
