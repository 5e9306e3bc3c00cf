//! Gathers the refusals that the service gives.

use super::*;

/// The refusals that were got, by whom this session is of.
pub struct Got {
    pub refusals: BTreeSet<Refusal>,
    pub session: String,
}

impl Got {
    pub fn by(session: String) -> Self {
        Self {
            refusals: BTreeSet::new(),
            session,
        }
    }

    /// Asks with the session.
    pub async fn add_of_user(&mut self, client: &Client, method: &str, path: &str) {
        let session = self.session.clone();
        self.add(client, method, path, |call| call.session(&session))
            .await;
    }

    pub async fn add(
        &mut self,
        client: &Client,
        method: &str,
        path: &str,
        ask: impl FnOnce(Call) -> Call,
    ) {
        let call = client.request(method, path);
        let call = if [CHANGE_PASSWORD, CHANGE_ADDRESS].contains(&path) {
            call.session(&self.session)
        } else {
            call
        };
        let reply = ask(call).send().await;
        assert!(reply.status.as_u16() >= 400, "{method} {path}: {reply:?}");
        self.note(method, path, &reply);
    }

    /// Notes the answer, if it is a refusal.
    pub fn note(&mut self, method: &str, path: &str, reply: &Reply) {
        let status = reply.status.as_u16();
        if status >= 400 {
            let message = reply.json()["message"].as_str().unwrap().to_owned();
            let path = path.split('?').next().unwrap_or_default();
            self.refusals
                .insert((format!("{method} {path}"), status, message));
        }
    }

    /// Those of any request: a head that can be read in two ways, a body that is too long, and what
    /// another site sends.
    pub async fn add_of_any(&mut self, client: &Client, method: &str, path: &str) {
        for (name, value) in [("host", "a b"), ("transfer-encoding", "gzip, chunked")] {
            self.add(client, method, path, |call| call.header(name, value))
                .await;
        }
        let long = "x".repeat(16 * 1024 + 1);
        self.add(client, method, path, |call| call.body(FORM, long))
            .await;
        if method != "GET" {
            let origin = "https://evil.example";
            self.add(client, method, path, |call| call.header("origin", origin))
                .await;
        }
    }

    /// Those of what a proxy asks.
    pub async fn add_of_checks(&mut self, client: &Client) {
        for path in CHECKS {
            self.add_of_any(client, "GET", path).await;
            for missing in 0..7 {
                let ask = |host: &str| {
                    let fields = [
                        ("x-forwarded-method", "GET".to_owned()),
                        ("x-forwarded-proto", "https".to_owned()),
                        ("x-forwarded-host", host.to_owned()),
                        ("x-forwarded-uri", "/".to_owned()),
                        ("x-original-method", "GET".to_owned()),
                        ("x-original-url", format!("https://{host}/")),
                    ];
                    let fields = fields.into_iter().enumerate();
                    let given = fields.filter(|(place, _)| *place != missing);
                    given.fold(client.get(path), |call, (_, (name, value))| {
                        call.header(name, value)
                    })
                };
                let known = ask("auth.example.org");
                for call in [
                    known.clone(),
                    known.clone().session(&self.session),
                    known.from("192.0.2.1"),
                    ask("other.example.org"),
                ] {
                    let reply = call.send().await;
                    self.note("GET", path, &reply);
                }
            }
        }
    }

    /// Those of the steps by which a browser is handed over to an app.
    pub async fn add_of_steps(&mut self, client: &Client) {
        for path in STEPS {
            self.add_of_any(client, "GET", path).await;
        }
        for query in ["", "?app=wiki.example.org", &format!("?{TO_WIKI}")] {
            self.add_of_user(client, "GET", &format!("{AUTHORIZE}{query}"))
                .await;
        }
        self.add(client, "GET", AUTHORIZE, |call| {
            call.header("sec-fetch-mode", "no-cors")
        })
        .await;
        self.add(client, "GET", LOG_IN, |call| {
            let call = call.header("host", "wiki.example.org");
            call.header("sec-fetch-mode", "no-cors")
        })
        .await;
        self.add(client, "GET", CALL_BACK, |call| {
            call.header("host", "wiki.example.org")
        })
        .await;
    }

    /// Those of a body that cannot be read.
    pub async fn add_of_body(&mut self, client: &Client, method: &str, path: &str) {
        for (content_type, body) in [
            (FORM, "password=%FF"),
            (JSON, "[]"),
            ("multipart/form-data; boundary=x", "--y--"),
            ("text/plain", "x"),
            (FORM, &"x=&".repeat(33)),
        ] {
            self.add(client, method, path, |call| call.body(content_type, body))
                .await;
        }
    }

    /// Those of what takes fields, without a session.
    pub async fn add_without_session(&mut self, client: &Client) {
        for (method, path) in [
            ("PUT", CHANGE_PASSWORD),
            ("POST", CHANGE_ADDRESS),
            ("PUT", CHANGE_ADDRESS),
            ("DELETE", CHANGE_ADDRESS),
        ] {
            let reply = client.request(method, path).send().await;
            self.note(method, path, &reply);
        }
    }

    /// Those that follow a change of an address, and of one that is taken meanwhile.
    pub async fn add_of_changed_address(&mut self, client: &Client) {
        let (session, _) = client.moved(&self.session, "later@example.org").await;
        self.session.clone_from(&session);
        self.add_of_user(client, "DELETE", "/users").await;
        let email = "taken@example.org";
        let token = client.email_token(&session, email).await;
        client.registered(email, "r3bl0ch0n de savoie").await;
        let fields = [("email_token", &*token)];
        self.add(client, "PUT", CHANGE_ADDRESS, |call| call.form(&fields))
            .await;
        let fields = [("email", email)];
        self.add(client, "POST", CHANGE_ADDRESS, |call| call.form(&fields))
            .await;
    }

    /// Those of each field.
    pub async fn add_of_fields(
        &mut self,
        client: &Client,
        method: &str,
        path: &str,
        fields: &Fields,
    ) {
        let long = "x".repeat(1025);
        for (name, text) in fields {
            let others = fields.iter().filter(|(other, _)| other != name);
            let others: Fields = others.copied().collect();
            let mut texts = vec![vec![], vec![""], vec![*text, *text]];
            if name.ends_with("password") {
                texts.extend([vec!["b4l0u\0"], vec![&long]]);
            }
            if method == "POST" && ["/users", CHANGE_ADDRESS].contains(&path) && *name == "email" {
                texts.extend([vec!["bob"], vec!["b\u{F6}b@example.org"], vec![&long]]);
            }
            for texts in texts {
                let these = texts.iter().map(|text| (*name, *text));
                let fields: Vec<_> = others.iter().copied().chain(these).collect();
                self.add(client, method, path, |call| call.form(&fields))
                    .await;
            }
            let mut object: serde_json::Map<_, _> = others
                .iter()
                .map(|(name, text)| ((*name).to_owned(), json!(text)))
                .collect();
            object.insert((*name).to_owned(), json!(1));
            self.add(client, method, path, |call| call.json(&object.into()))
                .await;
        }
    }

    /// What a password that the rule refuses is told, wherever one can be chosen.
    pub async fn add_of_weak_passwords(&mut self, app: &TestApp, token: &str) {
        for password in ["short", "password", "bob@example.org", "reblochon"] {
            let fields = [("email", "bob@example.org"), ("password", password)];
            self.add(app, "POST", "/users", |call| call.form(&fields))
                .await;
            let fields = [&fields[..], &[("sign_up_token", NO_TOKEN)]].concat();
            self.add(app, "PUT", "/users", |call| call.form(&fields))
                .await;
            let fields = [
                ("email", EMAIL),
                ("reset_token", token),
                ("new_password", password),
            ];
            self.add(app, "PUT", "/reset_password", |call| call.form(&fields))
                .await;
            let fields = [
                ("email", EMAIL),
                ("undo_token", NO_TOKEN),
                ("new_password", password),
            ];
            self.add(app, "PUT", UNDO, |call| call.form(&fields)).await;
            let fields = [("password", PASSWORD), ("new_password", password)];
            self.add(app, "PUT", CHANGE_PASSWORD, |call| call.form(&fields))
                .await;
        }
    }
}
