//! Who may reach what: keys, links, browsers, TLS and CORS, on the real host.

use std::fs;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use everstate_tests::certificate::write_certificate;
use everstate_tests::guests;
use everstate_tests::host::HostProcess;
use everstate_tests::http::Reply;
use everstate_tests::wait::eventually;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::options;

const INSTANCES: &str = "/runtime/webhooks/durabletask/instances";

/// Longer than a look at changed files takes.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);

/// A host that asks for keys, and the one of its management.
async fn host_with_keys() -> Result<(HostProcess, String)> {
    let config = "[http]\nrequire_keys = true\n";
    let host = HostProcess::start(options(&[guests::DATABASE]).config(config)).await?;
    let key = printed_key(&host, "management/default").await?;
    Ok((host, key))
}

/// The key of that name as a person copies it from the console.
async fn printed_key(host: &HostProcess, name: &str) -> Result<String> {
    host.says(&[name]).await?;
    let stdout = host.output().stdout();
    let prefix = format!("{name}: ");
    let line = stdout.iter().find_map(|line| line.trim().strip_prefix(&prefix));
    Ok(line.context("no line with the key")?.to_owned())
}

async fn send(host: &HostProcess, method: &str, path: &str, key: &str) -> Result<Reply> {
    host.client().send(method, path, &[("x-functions-key", key)], Bytes::new()).await
}

#[tokio::test]
async fn management_key_is_printed_once_and_opens_after_a_restart() -> Result<()> {
    let (mut host, key) = host_with_keys().await?;
    for path in ["/admin/keys", "/metrics", &format!("{INSTANCES}/none")] {
        assert_eq!(host.client().get(path).await?.status, 401, "{path}");
        assert_ne!(send(&host, "GET", path, &key).await?.status, 401, "{path}");
    }
    assert_eq!(host.client().get("/health/live").await?.status, 200);
    assert_eq!(host.client().put("/Database/1", "v").await?.status, 200);
    host.restart().await?;
    assert_eq!(send(&host, "GET", "/admin/keys", &key).await?.status, 200);
    assert!(!host.output().all().contains("management/default"), "{}", host.output().all());
    Ok(())
}

#[tokio::test]
async fn key_is_made_replaced_and_deleted_with_effect_at_once() -> Result<()> {
    let (host, key) = host_with_keys().await?;
    let path = "/admin/keys/management/ci";
    let first = send(&host, "POST", path, &key).await?;
    assert_eq!(first.status, 201, "{}", first.text());
    let value = |reply: &Reply| -> Result<String> {
        Ok(reply.json()?["value"].as_str().context("no value")?.to_owned())
    };
    let first = value(&first)?;
    let second = value(&send(&host, "POST", path, &first).await?)?;
    assert_eq!(send(&host, "GET", "/admin/keys", &first).await?.status, 401);
    for (path, status) in [("management/ci?new=true", 409), ("management/none?new=false", 404)] {
        let path = format!("/admin/keys/{path}");
        assert_eq!(send(&host, "POST", &path, &key).await?.status, status, "{path}");
    }
    assert_eq!(send(&host, "GET", "/admin/keys", &second).await?.status, 200);
    let listed = send(&host, "GET", "/admin/keys", &key).await?.json()?;
    assert_eq!(listed[0]["name"], "ci", "{listed}");
    assert_eq!(send(&host, "DELETE", path, &second).await?.status, 204);
    assert_eq!(send(&host, "GET", "/admin/keys", &second).await?.status, 401);
    // The last one stays: without it nobody could make another.
    let last = send(&host, "DELETE", "/admin/keys/management/default", &key).await?;
    assert_eq!(last.status, 409, "{}", last.text());
    for (path, status) in
        [("/admin/keys/all/x", 400), ("/admin/keys/host/a%20b", 400), ("/admin/keys/host", 404)]
    {
        assert_eq!(send(&host, "POST", path, &key).await?.status, status, "{path}");
    }
    Ok(())
}

/// The function is deployed to a running host, which makes a key for it.
#[tokio::test]
async fn function_that_asks_for_a_key_is_opened_by_its_own_and_by_those_of_the_host() -> Result<()>
{
    let host = HostProcess::start(options(&[guests::DATABASE])).await?;
    host.deploy(guests::COUNTER, "counter.wasm")?;
    let of_host = printed_key(&host, "host/default").await?;
    let reset = "/Counter/1/reset";
    host.client().post("/Counter/1/add", "5").await?;
    assert_eq!(host.client().post(reset, "").await?.status, 401);
    assert_eq!(send(&host, "POST", reset, "wrong").await?.status, 401);
    assert_eq!(host.client().get("/Counter/1").await?.text(), "5");
    assert_eq!(send(&host, "POST", reset, &of_host).await?.status, 204);
    assert_eq!(host.client().get("/Counter/1").await?.text(), "0");
    let own = host.client().post("/admin/keys/function/Counter_Reset/app", "").await?.json()?;
    let own = own["value"].as_str().context("a key")?;
    assert_eq!(host.client().post(&format!("{reset}?code={own}"), "").await?.status, 204);
    let other = host.client().post("/admin/keys/function/Counter_Add/app", "").await?.json()?;
    let other = other["value"].as_str().context("a key")?;
    assert_eq!(send(&host, "POST", reset, other).await?.status, 401);
    let functions = host.client().get("/admin/functions").await?.text();
    assert!(functions.contains(r#""authLevel":"function""#), "{functions}");
    Ok(())
}

/// The links of a start work by themselves, for their orchestration and nothing else.
#[tokio::test]
async fn links_carry_a_code_that_opens_their_orchestration_only() -> Result<()> {
    let (host, key) = host_with_keys().await?;
    let start = "/runtime/webhooks/durabletask/orchestrators/Database_GET_Orchestrator";
    let headers = [("x-functions-key", key.as_str()), ("content-type", "application/json")];
    let started = host.client().send("POST", start, &headers, "\"1\"").await?;
    assert_eq!(started.status, 202, "{}", started.text());
    assert!(!started.text().contains(&key));
    let url = started.json()?["statusQueryGetUri"].as_str().context("a link")?.to_owned();
    let target = url.strip_prefix(&format!("http://{}", host.address())).context("our host")?;
    let seen = host.client().get(target).await?;
    assert!(seen.status == 200 || seen.status == 202, "{}", seen.status);
    let (_, code) = target.split_once('?').context("a code")?;
    for other in [format!("{INSTANCES}/other?{code}"), format!("/admin/keys?{code}")] {
        assert_eq!(host.client().get(&other).await?.status, 401, "{other}");
    }
    assert_eq!(send(&host, "POST", "/admin/keys/links", &key).await?.status, 204);
    assert_eq!(host.client().get(target).await?.status, 401, "the code is void");
    Ok(())
}

#[tokio::test]
async fn host_is_not_exposed_to_a_network_without_a_key() -> Result<()> {
    let mut open = options(&[]).config("[http]\nrequire_keys = false\n");
    open.listen = Some("0.0.0.0:0".to_owned());
    let (status, output) = HostProcess::start_and_fail(open).await?;
    assert!(!status.success());
    assert!(output.stderr().iter().any(|line| line.contains("require_keys")), "{}", output.all());

    let mut exposed = options(&[guests::DATABASE]);
    exposed.listen = Some("0.0.0.0:0".to_owned());
    let host = HostProcess::start(exposed).await?;
    printed_key(&host, "management/default").await?;
    assert_eq!(host.client().get("/admin/keys").await?.status, 401);
    assert_eq!(host.client().get("/Database/1").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn keys_that_cannot_be_understood_refuse_to_start() -> Result<()> {
    let data = tempfile::tempdir()?;
    fs::write(data.path().join("keys.json"), "{")?;
    let (status, output) = HostProcess::start_and_fail(options(&[]).data(data.path())).await?;
    assert!(!status.success());
    assert!(output.stderr().iter().any(|line| line.contains("keys.json")), "{}", output.all());
    Ok(())
}

/// On loopback no key is asked for, but a web site in a browser of this machine gets nothing.
#[tokio::test]
async fn web_site_is_refused_by_the_management_unless_it_is_configured() -> Result<()> {
    let config = "[cors]\norigins = [\"https://shop.example.com\"]\n";
    let host = HostProcess::start(options(&[guests::DATABASE]).config(config)).await?;
    let ask = async |headers: &[(&str, &str)]| {
        host.client().send("GET", "/admin/keys", headers, Bytes::new()).await
    };
    assert_eq!(ask(&[]).await?.status, 200);
    assert_eq!(ask(&[("origin", "https://evil.example")]).await?.status, 403);
    let allowed = ask(&[("origin", "https://shop.example.com")]).await?;
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("access-control-allow-origin"), "https://shop.example.com");
    // What DNS rebinding looks like: the browser believes to talk to another host.
    let rebound = Request::get("/admin/keys").header("host", "evil.example:7071");
    let request = rebound.body(http_body_util::Full::new(Bytes::new()))?;
    let mut connection = everstate_tests::http::Connection::open(host.address()).await?;
    assert_eq!(connection.exchange(request).await?.status, 403);
    Ok(())
}

#[tokio::test]
async fn preflight_is_answered_by_the_host_for_configured_origins_only() -> Result<()> {
    let config = "[cors]\norigins = [\"https://shop.example.com\"]\nmax_age_s = 7\n";
    let host = HostProcess::start(options(&[guests::DATABASE]).config(config)).await?;
    let preflight = async |path: &str, origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "PUT")];
        host.client().send("OPTIONS", path, &headers, Bytes::new()).await
    };
    for path in ["/Database/1", &format!("{INSTANCES}/a")] {
        let answer = preflight(path, "https://shop.example.com").await?;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "https://shop.example.com");
        assert_eq!(answer.header("access-control-allow-methods"), "PUT");
        assert_eq!(answer.header("access-control-max-age"), "7");
        let answer = preflight(path, "https://evil.example").await?;
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
    // A cache has to know that it is another answer for another site's page.
    assert_eq!(host.client().get("/Database/1").await?.header("vary"), "origin");
    // Not a preflight: a function may answer it, and this one does not.
    let options = host.client().send("OPTIONS", "/Database/1", &[], Bytes::new()).await?;
    assert_eq!(options.status, 405);
    let off = crate::database().await?;
    let headers = [("origin", "https://shop.example.com")];
    let answer = off.client().send("GET", "/Database/1", &headers, Bytes::new()).await?;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    Ok(())
}

/// A connection by TLS of a client that trusts this certificate only.
async fn connect_tls(
    host: &HostProcess,
    certificate: &CertificateDer<'static>,
) -> Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(host.address()).await?;
    let connector = TlsConnector::from(Arc::new(config));
    Ok(connector.connect(ServerName::try_from("localhost")?, stream).await?)
}

/// What `POST path` answers by HTTPS to a client that trusts this certificate only.
async fn get_https(
    host: &HostProcess,
    certificate: &CertificateDer<'static>,
    path: &str,
) -> Result<(u16, String)> {
    let stream = connect_tls(host, certificate).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move { drop(connection.await) });
    let request = Request::post(path).header("host", "localhost").body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec())?))
}

#[tokio::test]
async fn certificate_is_used_and_a_renewed_one_after_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let first = write_certificate(folder.path())?;
    let path = folder.path().display();
    let config = format!("[tls]\ncertificate = \"{path}/cert.pem\"\nkey = \"{path}/key.pem\"\n");
    let host = HostProcess::start(options(&[guests::DATABASE]).config(&config)).await?;
    let start = "/runtime/webhooks/durabletask/orchestrators/Database_GET_Orchestrator";
    let (status, body) = get_https(&host, &first, start).await?;
    assert_eq!(status, 202, "{body}");
    assert!(body.contains("\"https://localhost/runtime"), "{body}");
    host.says(&["Database_HttpStart", "https://localhost:"]).await?;

    let second = write_certificate(folder.path())?;
    eventually("the new certificate is used", DEADLINE, || async {
        get_https(&host, &second, start).await.ok()
    })
    .await?;
    assert!(get_https(&host, &first, start).await.is_err(), "the old one is used no more");

    // A file that is broken changes nothing.
    fs::write(folder.path().join("cert.pem"), "broken")?;
    eventually("the broken file is seen", DEADLINE, || async {
        get_https(&host, &second, start).await.ok()?;
        let stderr = host.output().stderr();
        stderr.iter().any(|line| line.contains("stays in use")).then_some(())
    })
    .await?;
    assert_eq!(get_https(&host, &second, start).await?.0, 202);
    Ok(())
}

/// It sends all of a large component before it looks at the answer, as many clients do.
#[tokio::test]
async fn deployment_with_a_wrong_key_sees_the_refusal_by_https() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let certificate = write_certificate(folder.path())?;
    let path = folder.path().display();
    let config = format!(
        "[http]\nrequire_keys = true\n\
         [tls]\ncertificate = \"{path}/cert.pem\"\nkey = \"{path}/key.pem\"\n"
    );
    let host = HostProcess::start(options(&[]).config(&config)).await?;
    let mut stream = connect_tls(&host, &certificate).await?;
    let body = vec![b'x'; 20_000_000];
    let head = format!(
        "PUT /admin/deployments/a.wasm HTTP/1.1\r\nhost: a\r\nx-functions-key: wrong\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    assert_eq!(&status, b"HTTP/1.1 401");
    Ok(())
}

#[tokio::test]
async fn silent_handshake_is_cut_off_and_keeps_nobody_out() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let certificate = write_certificate(folder.path())?;
    let path = folder.path().display();
    let config = format!(
        "[http]\nheader_timeout_ms = 300\nconnections_max = 2\n\
         [tls]\ncertificate = \"{path}/cert.pem\"\nkey = \"{path}/key.pem\"\n"
    );
    let host = HostProcess::start(options(&[guests::DATABASE]).config(&config)).await?;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(host.address()).await?);
    }
    let start = "/runtime/webhooks/durabletask/orchestrators/Database_GET_Orchestrator";
    eventually("somebody is served", DEADLINE, || async {
        get_https(&host, &certificate, start).await.ok()
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn certificate_that_is_missing_refuses_to_start_and_is_named() -> Result<()> {
    let config = "[tls]\ncertificate = \"nowhere.pem\"\nkey = \"key.pem\"\n";
    let (status, output) = HostProcess::start_and_fail(options(&[]).config(config)).await?;
    assert!(!status.success());
    let line = output.stderr().into_iter().find(|line| line.contains("nowhere.pem"));
    let line = line.with_context(|| output.all())?;
    assert!(line.contains("tls.certificate"), "{line}");
    assert_eq!(line.matches("No such file").count(), 1, "{line}");
    Ok(())
}
