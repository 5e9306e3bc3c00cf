//! The mail server is down, silent, refuses for now or breaks off: every acknowledged request for a
//! reset leads to a mail.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::on_each_engine;
use crate::support::TestApp;
use crate::support::report::counted;
use crate::support::smtp_server::SmtpServer;

/// Longer than the longest wait between two tries.
const RETRY: Duration = Duration::from_hours(1);

on_each_engine! {
    async fn a_mail_server_in_trouble_delays_mails_and_loses_none(database: Database) {
        const USERS: usize = 5;
        let Some(smtp) = SmtpServer::start() else {
            return;
        };
        let fault = format!("mail server in trouble, {}", database.engine());
        let mailer = smtp.mailer().with_time_limit(Duration::from_millis(500));
        let app = TestApp::mailing(database, mailer).await;
        let troubles: [fn(&SmtpServer); 5] = [
            SmtpServer::go_down,
            SmtpServer::tarpit,
            |smtp| smtp.refuse(451),
            |smtp| smtp.refuse(530),
            SmtpServer::cut,
        ];
        let mut acknowledged = BTreeSet::new();
        for (round, trouble) in troubles.iter().enumerate() {
            trouble(&smtp);
            for number in 0..USERS {
                let email = format!("user-{round}-{number}@example.org");
                app.registered(&email, "b4l0u").await;
                let reply = app.ask_reset(&email).send().await;
                assert_eq!(reply.status, 200, "{reply:?}");
                acknowledged.insert(email);
            }
            app.deliver().await;
        }
        smtp.accept();
        app.clock.turn(RETRY);
        app.deliver().await;
        // A server that broke off had taken the mail, so there may be two.
        let reached: BTreeSet<String> = smtp.take().into_iter().flat_map(|mail| mail.to).collect();
        let lost = acknowledged.difference(&reached).count();
        counted(&format!(
            "{fault}: {} rounds, {} acknowledged, {lost} violations",
            troubles.len(),
            acknowledged.len()
        ));
        assert_eq!(lost, 0);
    }
}
