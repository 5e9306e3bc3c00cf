//! Mail servers on other machines: encrypted, with a certificate that is checked, or not at all.

use std::net::{IpAddr, ToSocketAddrs, UdpSocket};

use crate::on_each_engine;
use crate::support::smtp_server::{SmtpServer, Tls};
use crate::support::{Database, TestApp};
use bienvenue::mail::Mailer;

const EMAIL: &str = "bob@example.org";

/// A name or an address of this machine that is not known to be one, so that nothing may go there in
/// plain.
pub fn far_name_of_this_machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let resolves = (name, 0)
        .to_socket_addrs()
        .is_ok_and(|mut all| all.next().is_some_and(|first| first.is_ipv4()));
    if resolves && name != "localhost" {
        return name.to_owned();
    }
    // Sends nothing: only asks the system by which way it would.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").unwrap();
    let address = socket.local_addr().unwrap().ip();
    assert!(!matches!(address, IpAddr::V4(address) if address.is_loopback()));
    address.to_string()
}

/// How many mails arrive when one is asked for.
async fn mails_that_arrive(database: &Database, server: &SmtpServer, mailer: Mailer) -> usize {
    let database = match database.folder {
        Some(_) => Database::sqlite(),
        None => Database::postgres().await.unwrap(),
    };
    let app = TestApp::mailing(database, mailer).await;
    app.registered(EMAIL, "b4l0u").await;
    app.ask_reset(EMAIL).send().await;
    assert_eq!(app.deliver().await, 1);
    let mails = server.take();
    assert!(mails.iter().all(|mail| mail.encrypted), "{mails:?}");
    mails.len()
}

on_each_engine! {
    async fn a_server_whose_certificate_is_trusted_gets_mails_encrypted(database: Database) {
        let far = far_name_of_this_machine();
        for (host, tls, scheme) in [
            (&*far, Tls::Upgraded, "smtp"),
            (&far, Tls::Wrapped, "smtps"),
            ("127.0.0.1", Tls::Wrapped, "smtps"),
        ] {
            let login = ["--login", "me:s3cret@"];
            let Some(server) = SmtpServer::start_with(host, tls, &login) else { return };
            let mailer = server.mailer_by(scheme, "me:s3cret%40@", true);
            assert_eq!(mails_that_arrive(&database, &server, mailer).await, 1, "{scheme}://{host}");
            let stranger = server.mailer_by(scheme, "me:s3cret%40@", false);
            assert_eq!(mails_that_arrive(&database, &server, stranger).await, 0, "{scheme}://{host}");
        }
    }

    async fn a_certificate_of_another_name_is_not_trusted(database: Database) {
        for (certified, mails) in [("127.0.0.1", 0), ("localhost", 1)] {
            let Some(server) = SmtpServer::start_as(certified, "127.0.0.1", Tls::Wrapped, &[]) else { return };
            let by_name = server.mailer_at("localhost", "smtps", "", true);
            assert_eq!(mails_that_arrive(&database, &server, by_name).await, mails, "{certified}");
        }
    }

    async fn a_server_elsewhere_that_does_not_encrypt_gets_nothing(database: Database) {
        let far = far_name_of_this_machine();
        let Some(server) = SmtpServer::start_with(&far, Tls::None, &[]) else { return };
        for scheme in ["smtp", "smtps"] {
            let mailer = server.mailer_by(scheme, "", false).with_time_limit(std::time::Duration::from_secs(2));
            assert_eq!(mails_that_arrive(&database, &server, mailer).await, 0, "{scheme}");
        }
    }
}
