//! An app on the host of the service itself, where the account's session is its own.

use super::*;
use crate::support::openapi::DOCUMENT;

behind_each_proxy! {
    async fn the_paths_of_the_service_are_its_own_and_all_others_the_app_s(proxy: Kind) {
        let Some(stand) = Stand::start(proxy, &["auth.example.org"]).await else { return };
        for path in DOCUMENT.paths().into_iter().filter(|path| *path != "/") {
            for path in [path.to_owned(), format!("{path}/")] {
                if path == "/.well-known/change-password/" {
                    continue;
                }
                let reply = stand.curl(&[], &format!("{SERVICE}{path}")).await;
                assert!(reply.header("x-request-id").is_some(), "{path}: {reply:?}");
            }
        }
        let style = stand.curl(&["-H", HTML], &format!("{SERVICE}/sessions")).await;
        let (_, style) = style.body.split_once("rel=\"stylesheet\" href=\"").unwrap();
        let style = style.split_once('"').unwrap().0;
        assert_eq!(stand.curl(&[], &format!("{SERVICE}{style}")).await.status, 200);
        // By which browsers see that the path for changing the password is served.
        let nothing = "/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200";
        assert_eq!(stand.curl(&["-H", HTML], &format!("{SERVICE}{nothing}")).await.status, 404);
        assert_eq!(stand.echo.reached(), 0);

        stand.log_in().await;
        for path in ["/", "/usersx", "/user", "/wiki/users", "/.well-known/security.txt", "/Users?a=b"] {
            let url = format!("{SERVICE}{path}");
            if proxy == Kind::Caddy && path.starts_with("/U") {
                // Caddy's paths have no case.
                assert_eq!(stand.curl_with_cookies(&[], &url).await.status, 404);
                continue;
            }
            assert_eq!(stand.curl(&[], &url).await.status, 401, "{path}");
            let got = stand.curl_with_cookies(&[], &url).await.echoed();
            assert_eq!(got["uri"], path);
            assert_eq!(got["headers"]["remote-user"], json!([EMAIL]), "{path}");
        }
        let log_out = ["-X", "DELETE"];
        let url = format!("{SERVICE}/sessions");
        assert_eq!(stand.curl_with_cookies(&log_out, &url).await.status, 302);
        let reached = stand.echo.reached();
        assert_eq!(stand.curl_with_cookies(&[], SERVICE).await.status, 401);
        assert_eq!(stand.echo.reached(), reached);
    }
}
