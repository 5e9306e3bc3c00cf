//! A client that says what it likes, byte by byte.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::client::Reply;
use super::server::Server;

/// One connection.
pub struct Raw {
    stream: TcpStream,
    /// What has come and belongs to the next reply.
    read: Vec<u8>,
}

impl Raw {
    pub async fn connect(server: &Server) -> Self {
        Self::connect_to(server.address()).await
    }

    pub async fn connect_to(address: &str) -> Self {
        Self {
            stream: TcpStream::connect(address).await.unwrap(),
            read: Vec::new(),
        }
    }

    /// From this address of this machine, such as `127.0.0.2`.
    pub async fn connect_from(own: &str, address: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{own}:0").parse().unwrap()).unwrap();
        Self {
            stream: socket.connect(address.parse().unwrap()).await.unwrap(),
            read: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Waits until the body is asked for, as `Expect: 100-continue` has it.
    pub async fn asked_for_body(&mut self) {
        const ASKED: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        while self.read.len() < ASKED.len() {
            self.read_more().await.expect("to be asked");
        }
        assert_eq!(
            self.read,
            ASKED,
            "{:?}",
            String::from_utf8_lossy(&self.read)
        );
        self.read.clear();
    }

    /// Says that nothing more comes.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The next reply, which must come and say how long it is.
    pub async fn reply(&mut self) -> Reply {
        let reply = self.try_reply().await;
        reply.expect("a reply")
    }

    /// The next reply; `None` if the connection ends before it is whole.
    pub async fn try_reply(&mut self) -> Option<Reply> {
        let end_of_head = loop {
            let end = self.read.windows(4).position(|four| four == b"\r\n\r\n");
            match end {
                Some(end) => break end + 4,
                None => self.read_more().await?,
            }
        };
        let head: Vec<u8> = self.read.drain(..end_of_head).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?;
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let length = headers["content-length"].to_str().unwrap();
        let length: usize = length.parse().unwrap();
        while self.read.len() < length {
            self.read_more().await?;
        }
        Some(Reply {
            status: StatusCode::from_bytes(status.as_bytes()).unwrap(),
            headers,
            body: self.read.drain(..length).collect(),
        })
    }

    /// Waits until the server ends the connection, in whatever way; returns what came before.
    pub async fn end(mut self) -> Vec<u8> {
        while self.read_more().await.is_some() {}
        self.read
    }

    async fn read_more(&mut self) -> Option<()> {
        match self.stream.read_buf(&mut self.read).await {
            Ok(1..) => Some(()),
            _ => None,
        }
    }
}
