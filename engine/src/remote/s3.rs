//! A bucket of a server that speaks S3. Requests are signed by `rusty-s3` and sent by the client of
//! the downloads, so that neither a runtime nor a second HTTP client is built in.
//!
//! The environment gives what the tools of AWS read there: `AWS_ACCESS_KEY_ID`,
//! `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, and `AWS_ENDPOINT_URL` for another
//! server than Amazon's.

use cache::blobs::{Blobs, too_long};
use rusty_s3::{
    Credentials, S3Action, UrlStyle,
    actions::{ListObjectsV2, PutObject},
};
use std::{
    env,
    fs::File,
    io::{self, Read},
    path::Path,
    time::Duration,
};
use ureq::{Agent, Body, http::Response};

/// The time for which a signed request is valid.
const VALID: Duration = Duration::from_mins(15);
/// The longest answer to a list in bytes: a thousand names.
const MAX_LIST_BYTES: u64 = 1 << 24;

/// A bucket, or what lies below a prefix in it.
pub struct Bucket {
    bucket: rusty_s3::Bucket,
    credentials: Option<Credentials>,
    prefix: String,
    agent: Agent,
}

fn variable(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| env::var(name).ok()).filter(|value| !value.is_empty())
}

impl Bucket {
    /// The bucket and prefix of `BUCKET/PREFIX`.
    ///
    /// # Errors
    /// Returns a sentence if the name or the environment is faulty.
    pub fn open(place: &str) -> Result<Self, String> {
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.is_empty() {
            return Err("`s3://` names no bucket; expected `s3://BUCKET/PREFIX`".to_owned());
        }
        let region = variable(&["AWS_REGION", "AWS_DEFAULT_REGION"]);
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        let endpoint = variable(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]);
        // Other servers seldom have a name for each bucket.
        let style = if endpoint.is_some() { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let faulty = |error: String| format!("`{endpoint}` is no address of a server: {error}");
        let url = endpoint.parse().map_err(|error| faulty(format!("{error}")))?;
        let bucket = rusty_s3::Bucket::new(url, style, bucket.to_owned(), region)
            .map_err(|error| faulty(error.to_string()))?;
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // A signed request is for one server; another one has no business with it.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(30)))
            .timeout_per_read(Some(Duration::from_secs(60)))
            .build();
        Ok(Self {
            bucket,
            credentials: Credentials::from_env(),
            prefix: prefix.trim_end_matches('/').to_owned(),
            agent: agent.into(),
        })
    }

    /// The key of a blob.
    fn key(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) }
    }

    fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }
}

/// The answer to a request, or none if what it asks for is absent.
fn answered(sent: Result<Response<Body>, ureq::Error>) -> io::Result<Option<Response<Body>>> {
    let response = sent.map_err(|error| io::Error::other(error.to_string()))?;
    match response.status().as_u16() {
        200..300 => Ok(Some(response)),
        404 => Ok(None),
        403 => Err(io::Error::other(
            "the server refuses (403): check `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and the rights of the bucket",
        )),
        code => Err(io::Error::other(format!("the server answers with status {code}"))),
    }
}

/// The answer to a request that needs the bucket.
fn done(sent: Result<Response<Body>, ureq::Error>) -> io::Result<Response<Body>> {
    answered(sent)?.ok_or_else(|| io::Error::other("the server has no such bucket (404)"))
}

impl Blobs for Bucket {
    fn place(&self) -> String {
        format!("s3://{}/{}", self.bucket.name(), self.prefix)
    }

    fn head(&self, name: &str) -> io::Result<Option<u64>> {
        let url = self.bucket.head_object(self.credentials(), &self.key(name)).sign(VALID);
        let there = answered(self.agent.head(url.as_str()).call())?;
        Ok(there.map(|there| {
            let length = there.headers().get("content-length");
            length.and_then(|it| it.to_str().ok()?.parse().ok()).unwrap_or(0)
        }))
    }

    fn get(&self, name: &str, at_most: u64, to: &mut dyn io::Write) -> io::Result<bool> {
        let url = self.bucket.get_object(self.credentials(), &self.key(name)).sign(VALID);
        let request = self.agent.get(url.as_str()).header("Accept-Encoding", "identity");
        let Some(mut there) = answered(request.call())? else { return Ok(false) };
        let mut body = there.body_mut().as_reader().take(at_most.saturating_add(1));
        if io::copy(&mut body, to)? > at_most { Err(too_long(name, at_most)) } else { Ok(true) }
    }

    fn put(&self, name: &str, from: &Path) -> io::Result<()> {
        let key = self.key(name);
        let url = PutObject::new(&self.bucket, self.credentials(), &key).sign(VALID);
        done(self.agent.put(url.as_str()).send(File::open(from)?)).map(drop)
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        let (key, mut names, mut next) = (self.key(prefix), Vec::new(), None);
        loop {
            let mut list = ListObjectsV2::new(&self.bucket, self.credentials());
            list.with_prefix(key.as_str());
            if let Some(token) = next.take() {
                list.with_continuation_token(token);
            }
            let mut page = done(self.agent.get(list.sign(VALID).as_str()).call())?;
            let mut text = String::new();
            page.body_mut().as_reader().take(MAX_LIST_BYTES).read_to_string(&mut text)?;
            let page = ListObjectsV2::parse_response(&text)
                .map_err(|error| io::Error::other(format!("the server's list: {error}")))?;
            let below = |key: &str| {
                let name = key.strip_prefix(&self.prefix)?;
                Some(name.trim_start_matches('/').to_owned())
            };
            // A server that lists without end ends here, at the first page without a new name.
            let before = names.len();
            names.extend(page.contents.iter().filter_map(|found| below(&found.key)));
            next = page.next_continuation_token;
            if next.is_none() || names.len() == before {
                names.sort_unstable();
                return Ok(names);
            }
        }
    }

    fn delete(&self, name: &str) -> io::Result<()> {
        let url = self.bucket.delete_object(self.credentials(), &self.key(name)).sign(VALID);
        answered(self.agent.delete(url.as_str()).call()).map(drop)
    }
}
