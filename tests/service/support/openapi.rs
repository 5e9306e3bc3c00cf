//! Checks the answers that tests get against the OpenAPI document, whatever the tests are about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use axum::http::Method;
use axum::http::header::{ACCESS_CONTROL_ALLOW_METHODS, CONTENT_TYPE, SERVER};
use bienvenue::app::openapi;
use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use super::client::Reply;

pub static DOCUMENT: LazyLock<Document> = LazyLock::new(Document::read);

/// What the document says of answers.
pub struct Document(BTreeMap<(String, Method), Operation>);

/// What it says of a method of a path.
pub struct Operation {
    pub is_page: bool,
    pub responses: BTreeMap<u16, Response>,
}

pub struct Response {
    headers: BTreeMap<String, Header>,
    content: BTreeMap<String, Content>,
}

struct Header {
    is_required: bool,
    schema: Validator,
}

struct Content {
    schema: Validator,
    /// The only texts that a refusal can have.
    messages: Option<BTreeSet<String>>,
}

impl Document {
    fn read() -> Self {
        let document: Value = serde_json::from_str(openapi()).unwrap();
        let document = Source(&document);
        let mut operations = BTreeMap::new();
        for (path, methods) in entries(&document.0["paths"]) {
            for (method, operation) in entries(methods) {
                let responses = entries(&operation["responses"]).map(|(status, response)| {
                    (status.parse().unwrap(), document.response(response))
                });
                let operation = Operation {
                    is_page: operation["tags"] == json!(["Pages"]),
                    responses: responses.collect(),
                };
                let method = method.to_uppercase().parse().unwrap();
                operations.insert((path.clone(), method), operation);
            }
        }
        Self(operations)
    }

    /// All paths.
    pub fn paths(&self) -> BTreeSet<&str> {
        self.0.keys().map(|(path, _)| &**path).collect()
    }

    /// The methods of a path, with what the document says of each.
    pub fn methods<'a>(
        &'a self,
        path: &'a str,
    ) -> impl Iterator<Item = (&'a Method, &'a Operation)> {
        let all = self.0.iter();
        all.filter_map(move |((other, method), operation)| {
            (other == path).then_some((method, operation))
        })
    }

    /// Every refusal that has a text, of each method of each path.
    pub fn refusals(&self) -> BTreeSet<Refusal> {
        let mut refusals = BTreeSet::new();
        let have_texts = self
            .0
            .iter()
            .filter(|((_, method), _)| method != Method::HEAD);
        for ((path, method), operation) in have_texts {
            for (status, response) in &operation.responses {
                let contents = response.content.values();
                for message in contents.filter_map(|it| it.messages.as_ref()).flatten() {
                    let operation = format!("{method} {path}");
                    refusals.insert((operation, *status, message.clone()));
                }
            }
        }
        refusals
    }

    /// That the answer to a request is one of those that the document has for it. A method or a path
    /// that it does not have is refused.
    pub fn assert_describes(&self, method: &Method, path: &str, form: &[u8], reply: &Reply) {
        // By the proxy, which has errors of its own.
        if reply.headers.contains_key(SERVER) {
            return;
        }
        let path = path.split('?').next().unwrap_or_default();
        let path = match path.strip_suffix('/') {
            Some(path) if !path.is_empty() => path,
            _ => path,
        };
        // A browser that asks what a script of another origin may send.
        if method == Method::OPTIONS && reply.headers.contains_key(ACCESS_CONTROL_ALLOW_METHODS) {
            return;
        }
        let overridden = url::form_urlencoded::parse(form)
            .find_map(|(name, value)| (name == "_method").then(|| value.parse().ok())?);
        let mut problems = Vec::new();
        for method in [Some(method.clone()), overridden].into_iter().flatten() {
            match self.check(&method, path, reply) {
                Ok(()) => return,
                Err(problem) => problems.push(format!("{method} {path}: {problem}")),
            }
        }
        panic!("not as the OpenAPI document says: {problems:?}\n{reply:?}");
    }

    /// The path of the document that a path is one of.
    fn described<'a>(&'a self, path: &'a str) -> &'a str {
        let parts: Vec<&str> = path.split('/').collect();
        let is_of = |described: &&str| {
            let described: Vec<&str> = described.split('/').collect();
            let is_same = |(part, other): (&&str, &&str)| part == other || part.starts_with('{');
            described.len() == parts.len() && described.iter().zip(&parts).all(is_same)
        };
        let paths = self.paths();
        let is_exact = paths.contains(path);
        let path_of = paths.into_iter().find(is_of).filter(|_| !is_exact);
        path_of.unwrap_or(path)
    }

    fn check(&self, method: &Method, path: &str, reply: &Reply) -> Result<(), String> {
        let path = self.described(path);
        let of = |method: Method| self.0.get(&(path.to_owned(), method));
        let known = of(method.clone());
        let Some(operation) = known.or_else(|| of(Method::GET).filter(|_| method == Method::HEAD))
        else {
            let is_file_of_pages = path.contains('.');
            return if reply.status.is_client_error() || is_file_of_pages {
                Ok(())
            } else {
                Err("the document does not have it".to_owned())
            };
        };
        let response = operation.responses.get(&reply.status.as_u16());
        response.ok_or("not the status")?.check(method, reply)
    }
}

/// A method and a path, a status, and a text.
pub type Refusal = (String, u16, String);

impl Response {
    fn check(&self, method: &Method, reply: &Reply) -> Result<(), String> {
        for (name, header) in &self.headers {
            match reply.header(name) {
                Some(value) => {
                    let number: Option<i64> = value.parse().ok();
                    let is_valid = header.schema.is_valid(&json!(value))
                        || number.is_some_and(|number| header.schema.is_valid(&json!(number)));
                    is_valid
                        .then_some(())
                        .ok_or_else(|| format!("{name}: {value}"))?;
                }
                None if header.is_required => return Err(format!("no {name}")),
                None => {}
            }
        }
        if reply.body.is_empty() && (method == Method::HEAD || self.content.is_empty()) {
            return Ok(());
        }
        let media_type = reply.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default();
        let content = self.content.get(media_type).ok_or("not the content type")?;
        if media_type != "application/json" {
            return Ok(());
        }
        let body = reply.json();
        let valid = content.schema.validate(&body);
        valid.map_err(|error| format!("{}: {error}", error.instance_path()))?;
        let message = body["message"].as_str().unwrap_or_default();
        match &content.messages {
            Some(messages) if !messages.contains(message) => Err("not the text".to_owned()),
            _ => Ok(()),
        }
    }
}

/// The document as it is written.
struct Source<'a>(&'a Value);

impl Source<'_> {
    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        value["$ref"].as_str().map_or(value, |reference| {
            let pointer = reference.strip_prefix('#').unwrap();
            self.0
                .pointer(pointer)
                .unwrap_or_else(|| panic!("no {reference}"))
        })
    }

    fn validator(&self, schema: &Value) -> Validator {
        let schema = json!({ "allOf": [schema], "components": self.0["components"] });
        let options = jsonschema::options().with_draft(Draft::Draft202012);
        options
            .should_validate_formats(true)
            .build(&schema)
            .unwrap()
    }

    fn response(&self, response: &Value) -> Response {
        let response = self.resolve(response);
        let headers = entries(&response["headers"]).map(|(name, header)| {
            let header = self.resolve(header);
            let schema = self.validator(&header["schema"]);
            let is_required = header["required"] == true;
            (
                name.clone(),
                Header {
                    is_required,
                    schema,
                },
            )
        });
        let content = entries(&response["content"]).map(|(media_type, content)| {
            let messages = content["examples"].as_object().map(|examples| {
                let texts = examples.values().map(|example| {
                    let message = &self.resolve(example)["value"]["message"];
                    message.as_str().unwrap().to_owned()
                });
                texts.collect()
            });
            let schema = self.validator(&content["schema"]);
            (media_type.clone(), Content { schema, messages })
        });
        Response {
            headers: headers.collect(),
            content: content.collect(),
        }
    }
}

/// The members of an object; none if there is no object.
fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}
