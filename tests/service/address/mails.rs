//! What the mails about a change of an address say.

use bienvenue::auth::MAIL_PAUSE;

use super::{EMAIL, NEW, OTHER, PASSWORD, app_with_mail, mailed_token, moved_by_mail, only};
use crate::on_each_engine;
use crate::support::smtp_server::SmtpServer;

on_each_engine! {
    async fn the_mail_to_the_new_address_has_the_link_alone_and_when_it_ends(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        app.ask_address(&session, NEW).send().await;
        app.deliver().await;
        let mail = only(server.take());
        assert_eq!(mail.header("Subject"), "Confirm your new address for Holberton");
        for said in [
            "make new@example.org the address of their account at Holberton (auth.example.org)",
            "once, until 15 January 2027, 09:00 UTC",
            "without the link, nothing changes",
        ] {
            assert!(mail.text.contains(said), "{}", mail.text);
        }
        assert!(mail.text.lines().any(|line| line == mail.link()), "{}", mail.text);
    }

    async fn the_mail_to_the_old_address_has_the_undo_and_nothing_of_the_new_one(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let token = mailed_token(&app, &server, &session, NEW).await;
        app.change_address(&session, &token).send().await;
        assert_eq!(app.inside.count("past_addresses WHERE undo_digest IS NULL").await, 1, "made when it is sent");
        app.deliver().await;
        let mail = only(server.take());
        assert_eq!(mail.to, [EMAIL]);
        assert_eq!(mail.header("Subject"), "The address of your Holberton account was changed");
        let link = mail.link();
        assert!(link.starts_with("https://auth.example.org/undo_email_change?email=bob%40example.org&undo_token="), "{link}");
        for said in ["had the address bob@example.org until 15 January 2027, 08:00 UTC", "once, until 22 January 2027, 08:00 UTC"] {
            assert!(mail.text.contains(said), "{}", mail.text);
        }
        assert!(!format!("{mail:?}").contains(NEW), "{mail:?}");
    }

    async fn mails_are_in_the_language_of_who_asks(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let french = |call: crate::support::client::Call| call.header("accept-language", "fr-CH,en;q=0.5");
        french(app.ask_address(&session, OTHER)).send().await;
        app.deliver().await;
        let taken = only(server.take());
        french(app.ask_address(&session, NEW)).send().await;
        app.deliver().await;
        let confirm = only(server.take());
        french(app.change_address(&session, &confirm.token())).send().await;
        app.deliver().await;
        let changed = only(server.take());
        french(app.ask_reset(EMAIL)).send().await;
        app.deliver().await;
        let kept = only(server.take());
        for (mail, subject, words) in [
            (&taken, "Vous avez déjà un compte Holberton", "mais vous en avez déjà un avec elle"),
            (&confirm, "Confirmez votre nouvelle adresse pour Holberton", "jusqu’au 15 janvier 2027 à 09:00 UTC"),
            (&changed, "L’adresse de votre compte Holberton a été changée", "récupérez votre compte"),
            (&kept, "Votre compte Holberton a une autre adresse", "jusqu’au 22 janvier 2027 à 08:00 UTC"),
        ] {
            assert_eq!(mail.header("Subject"), subject);
            assert!(mail.text.contains(words), "{}", mail.text);
            assert!(mail.html.contains("lang=\"fr\""), "{}", mail.html);
        }
    }

    async fn links_are_made_of_the_public_url_whatever_a_request_says(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        for (name, value) in [("host", "evil.test"), ("x-forwarded-host", "evil.test")] {
            let number = name.len();
            let email = format!("new{number}@example.org");
            app.ask_address(&session, &email).header(name, value).send().await;
            app.deliver().await;
            let mail = only(server.take());
            assert!(mail.link().starts_with("https://auth.example.org/"), "{name}: {mail:?}");
            assert!(!format!("{mail:?}").contains("evil"), "{name}: {mail:?}");
        }
    }

    async fn deleting_a_user_deletes_the_mails_to_their_addresses_but_those_of_others(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        moved_by_mail(&app, &server, &session, EMAIL, NEW).await;
        assert!(app.can_log_in(NEW, PASSWORD).await);
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        app.ask_address(&of_other, NEW).send().await;
        let user = app.db.users.find_by_email(&NEW.parse().unwrap()).await.unwrap().unwrap();
        app.administration().delete(user.id).await.unwrap();
        assert_eq!(app.inside.count("past_addresses").await, 0);
        app.clock.turn(MAIL_PAUSE);
        app.deliver().await;
        let token = only(server.take()).token();
        let reply = app.change_address(&of_other, &token).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        app.deliver().await;
        server.take();
        app.clock.turn(MAIL_PAUSE);
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("outbox").await, 0);
    }
}
