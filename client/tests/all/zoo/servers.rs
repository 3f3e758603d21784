//! The servers: their certificates and pages, and the programs that serve them.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SignatureAlgorithm};
use tempfile::TempDir;

use super::{NAME, body};

/// Certificates, keys and pages that servers serve.
pub struct Site {
    pub dir: TempDir,
    pub root: Vec<u8>,
}

impl Site {
    pub fn new(algorithm: &'static SignatureAlgorithm) -> Self {
        Self::with_key(KeyPair::generate_for(algorithm).unwrap())
    }

    /// A site with a key of this algorithm, which OpenSSL makes.
    pub fn openssl(algorithm: &[&str]) -> Self {
        let mut command = Command::new("openssl");
        command.args(["genpkey", "-algorithm"]).args(algorithm).stderr(Stdio::null());
        let pem = String::from_utf8(command.output().unwrap().stdout).unwrap();
        Self::with_key(KeyPair::from_pem(&pem).unwrap())
    }

    pub fn rsa() -> Self {
        Self::openssl(&["RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
    }

    pub fn with_key(key: KeyPair) -> Self {
        let authority = |name: &str| {
            let mut params = CertificateParams::new(vec![]).unwrap();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        };
        let (root_key, middle_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let root_params = authority("zoo root");
        let root = root_params.self_signed(&root_key).unwrap().der().to_vec();
        let root_issuer = Issuer::new(root_params, root_key);
        let middle_params = authority("zoo intermediate");
        let middle = middle_params.signed_by(&middle_key, &root_issuer).unwrap();
        let issuer = Issuer::new(middle_params, middle_key);
        let leaf = CertificateParams::new(vec![NAME.into()]).unwrap().signed_by(&key, &issuer).unwrap();

        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| fs::write(dir.path().join(name), content).unwrap();
        write("chain.pem", format!("{}{}", leaf.pem(), middle.pem()).as_bytes());
        write("leaf.key", key.serialize_pem().as_bytes());
        write("account", body().as_bytes());
        Self { dir, root }
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// The root's certificate as a file.
    pub fn write_root(&self) -> PathBuf {
        let path = self.dir.path().join("root.der");
        fs::write(&path, &self.root).unwrap();
        path
    }

    pub fn write(&self, name: &str, content: &str) -> String {
        fs::write(self.dir.path().join(name), content).unwrap();
        self.path(name)
    }
}

/// A server program that runs until it is dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn has(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|paths| std::env::split_paths(&paths).any(|p| p.join(program).is_file()))
}

impl Server {
    /// Starts a program and waits until its port answers.
    pub fn start(port: u16, mut command: Command) -> Self {
        let child =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut this = Self { child, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(this.child.try_wait().unwrap().is_none(), "{command:?} ended");
            assert!(begun.elapsed() < Duration::from_secs(60), "{command:?} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        this
    }

    /// OpenSSL's test server: the file `page` holds a whole HTTP response.
    pub fn openssl(site: &Site, options: &[&str]) -> Self {
        let body = body();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        site.write("account", &format!("{head}{body}"));
        let port = free_port();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-HTTP", "-tls1_3"]);
        command.args(["-cert", "chain.pem", "-cert_chain", "chain.pem", "-key", "leaf.key"]).args(options);
        command.current_dir(site.dir.path());
        Self::start(port, command)
    }

    pub fn node(site: &Site, options: &[&str]) -> Self {
        const SCRIPT: &str = r#"
const https = require("https"), fs = require("fs");
const [port, dir, ...options] = process.argv.slice(2);
const read = name => fs.readFileSync(dir + "/" + name);
const ask = options.includes("ask");
https.createServer({ cert: read("chain.pem"), key: read("leaf.key"), requestCert: ask, rejectUnauthorized: false }, (q, r) => {
  const b = read("account");
  r.setHeader("Content-Type", "application/json");
  if (options.includes("chunked")) { r.write(b.subarray(0, 700)); setTimeout(() => { r.write(b.subarray(700, 1500)); r.end(b.subarray(1500)); }, 20); }
  else { r.setHeader("Content-Length", b.length); r.end(b); }
}).listen(+port, "127.0.0.1");
"#;
        let script = site.write("server.js", SCRIPT);
        let port = free_port();
        let mut command = Command::new("node");
        command.arg(script).arg(port.to_string()).arg(site.dir.path()).args(options);
        Self::start(port, command)
    }

    pub fn python(site: &Site) -> Self {
        const SCRIPT: &str = r#"
import http.server, ssl, sys
port, folder = int(sys.argv[1]), sys.argv[2]
data = open(folder + "/account", "rb").read()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(folder + "/chain.pem", folder + "/leaf.key")
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"#;
        let script = site.write("server.py", SCRIPT);
        let port = free_port();
        let mut command = Command::new("python3");
        command.arg(script).arg(port.to_string()).arg(site.dir.path());
        Self::start(port, command)
    }

    pub fn java(site: &Site) -> Self {
        const SOURCE: &str = r#"
import com.sun.net.httpserver.*;
import java.io.*; import java.net.*; import java.nio.file.*; import java.security.*; import javax.net.ssl.*;
public class Server {
  public static void main(String[] a) throws Exception {
    KeyStore store = KeyStore.getInstance("PKCS12");
    store.load(new FileInputStream(a[1] + "/store.p12"), "zoo".toCharArray());
    KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
    keys.init(store, "zoo".toCharArray());
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(keys.getKeyManagers(), null, null);
    HttpsServer server = HttpsServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(a[0])), 0);
    server.setHttpsConfigurator(new HttpsConfigurator(context));
    byte[] body = Files.readAllBytes(Path.of(a[1], "account"));
    server.createContext("/account", x -> {
      x.getResponseHeaders().set("Content-Type", "application/json");
      x.sendResponseHeaders(200, body.length); x.getResponseBody().write(body); x.close();
    });
    server.start();
  }
}
"#;
        let source = site.write("Server.java", SOURCE);
        let made = Command::new("openssl")
            .args([
                "pkcs12",
                "-export",
                "-in",
                "chain.pem",
                "-inkey",
                "leaf.key",
                "-passout",
                "pass:zoo",
                "-out",
                "store.p12",
            ])
            .current_dir(site.dir.path())
            .status();
        assert!(made.unwrap().success());
        let port = free_port();
        let mut command = Command::new("java");
        command.arg(source).arg(port.to_string()).arg(site.dir.path());
        Self::start(port, command)
    }

    pub fn nginx(site: &Site, options: &str) -> Self {
        let port = free_port();
        let config = format!(
            "daemon off; master_process off; pid {dir}/nginx.pid; error_log stderr;\n\
             events {{ }}\nhttp {{ access_log off; default_type application/json;\n\
             client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\n\
             server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {dir}/chain.pem; ssl_certificate_key {dir}/leaf.key;\n\
             ssl_protocols TLSv1.3; {options}\n root {dir}; }} }}\n",
            dir = site.dir.path().display()
        );
        let config = site.write("nginx.conf", &config);
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-p"]).arg(site.dir.path()).args(["-c", &config]);
        Self::start(port, command)
    }

    pub fn caddy(site: &Site) -> Self {
        let port = free_port();
        let config = format!(
            "{{\n admin off\n auto_https off\n}}\nhttps://{NAME}:{port} {{\n bind 127.0.0.1\n tls chain.pem leaf.key\n root * {}\n file_server\n}}\n",
            site.dir.path().display()
        );
        let config = site.write("Caddyfile", &config);
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config", &config]).current_dir(site.dir.path());
        command.env("XDG_DATA_HOME", site.dir.path()).env("XDG_CONFIG_HOME", site.dir.path());
        Self::start(port, command)
    }
}
