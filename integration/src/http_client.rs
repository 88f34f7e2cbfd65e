//! HTTP clients on the kernel's TCP: `curl` where it is installed, else a few lines over
//! `std::net`.
//!
//! Ours speaks as much of RFC 9112 as the demo's service answers with: a status line, a
//! `Content-Length`, the body.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::payload::{Digest, Payload, Sum};

/// A client that hangs longer than this has failed.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// A client on the kernel's TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum HttpClient {
    /// The program `curl`.
    Curl,
    /// This file, over `std::net::TcpStream`.
    Own,
}

impl fmt::Display for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HttpClient::Curl => "curl",
            HttpClient::Own => "a client over std::net",
        })
    }
}

impl HttpClient {
    /// `curl` if it starts here, else our own.
    pub fn find() -> HttpClient {
        let mut curl = Command::new("curl");
        let version = curl.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status();
        match version {
            Ok(status) if status.success() => HttpClient::Curl,
            _ => HttpClient::Own,
        }
    }

    /// Gets `path` and sums up what comes.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or does not answer `200 OK` with a whole body.
    pub fn get(self, server: SocketAddr, path: &str) -> io::Result<Sum> {
        match self {
            HttpClient::Curl => {
                let mut child = curl(server, path, &[]).stdin(Stdio::null()).spawn()?;
                let sum = sum_of(taken(&mut child.stdout)?)?;
                finish(child)?;
                Ok(sum)
            }
            HttpClient::Own => {
                let mut stream = connect(server)?;
                write!(
                    stream,
                    "GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n"
                )?;
                sum_of(body(stream)?)
            }
        }
    }

    /// Puts `payload` at `path` and returns the body of the answer.
    ///
    /// # Errors
    ///
    /// As [`get`](HttpClient::get).
    pub fn put(self, server: SocketAddr, path: &str, payload: Payload) -> io::Result<String> {
        let mut text = String::new();
        match self {
            HttpClient::Curl => {
                // What curl reads from a pipe it sends in chunks, as it comes; no `100 Continue`.
                let more = ["--header", "Expect:", "--upload-file", "-"];
                let mut child = curl(server, path, &more).stdin(Stdio::piped()).spawn()?;
                let mut input = taken(&mut child.stdin)?;
                let feeder = std::thread::spawn(move || {
                    payload.into_iter().try_for_each(|chunk| input.write_all(&chunk))
                });
                taken(&mut child.stdout)?.read_to_string(&mut text)?;
                // curl's own words about a failure come first: a pipe that broke is what follows.
                finish(child)?;
                feeder.join().map_err(|_| io::Error::other("feeding curl panicked"))??;
            }
            HttpClient::Own => {
                let mut stream = connect(server)?;
                let length = payload.left();
                write!(
                    stream,
                    "PUT {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\
                     Content-Length: {length}\r\n\r\n"
                )?;
                payload.into_iter().try_for_each(|chunk| stream.write_all(&chunk))?;
                body(stream)?.read_to_string(&mut text)?;
            }
        }
        Ok(text)
    }
}

/// curl without anything that this user configured: no `.curlrc`, no proxy.
fn curl(server: SocketAddr, path: &str, more: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command
        .args(["--disable", "--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time"])
        .arg(TIME_LIMIT.as_secs().to_string())
        .args(more)
        .arg(format!("http://{server}{path}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn taken<T>(pipe: &mut Option<T>) -> io::Result<T> {
    pipe.take().ok_or_else(|| io::Error::other("the child has no such pipe"))
}

/// Waits for curl, whose answer was read, and turns its complaint into the error.
fn finish(child: Child) -> io::Result<()> {
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("curl failed ({}): {}", output.status, complaint.trim())))
}

fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&server, TIME_LIMIT)?;
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    stream.set_write_timeout(Some(TIME_LIMIT))?;
    Ok(stream)
}

/// Reads the head of the answer and returns a reader of the body, which fails if it is cut short.
fn body(stream: TcpStream) -> io::Result<impl Read> {
    let mut reader = BufReader::with_capacity(256 * 1024, stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    if line.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(format!("the server answered {:?}", line.trim_end())));
    }
    let mut length = None;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        }
    }
    let left = length.ok_or_else(|| io::Error::other("the answer has no Content-Length"))?;
    Ok(Whole { reader, left })
}

/// Exactly so many bytes.
struct Whole<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.by_ref().take(self.left).read(buf)?;
        if count == 0 && !buf.is_empty() && self.left > 0 {
            let message = format!("the body ended {} bytes early", self.left);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

fn sum_of(mut reader: impl Read) -> io::Result<Sum> {
    let mut digest = Digest::default();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(digest.finish()),
            count => digest.update(&buffer[..count]),
        }
    }
}
