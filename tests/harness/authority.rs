//! Certificates, made as they are needed.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::PATIENCE;
use super::way::Folder;

/// Somebody who issues certificates, and a folder for them.
#[derive(Debug)]
pub struct Authority {
    folder: Folder,
    /// What those who trust nobody but the one above need, beside a certificate from here.
    chain: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Pair {
    /// The flags that name them.
    pub fn flags(&self) -> [&str; 4] {
        let [certificate, key] = [&self.certificate, &self.key].map(|path| path.to_str().unwrap());
        ["--cert", certificate, "--key", key]
    }
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = Folder::new();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Authority { folder, chain: String::new(), issuer: Issuer::new(params, key) }
    }

    /// One of that name that this one vouches for.
    pub fn deputy(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Authority {
        let mut deputy = Authority::new();
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name = Default::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(serial(name));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        deputy.chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        deputy.issuer = Issuer::new(params, key);
        deputy
    }

    /// A file of its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The certificate of the authority.
    pub fn own(&self) -> String {
        self.path("ca.pem").to_str().unwrap().to_owned()
    }

    /// A certificate for a server on this machine.
    pub fn server(&self, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        self.issue("server", |params| {
            local(params);
            change(params);
        })
    }

    /// The same, for somebody who has a key.
    pub fn server_with(&self, key: KeyPair) -> Pair {
        self.certify("server", key, local)
    }

    /// A certificate for a client with a common name, and others.
    pub fn client(&self, name: &str, others: &[&str]) -> Pair {
        self.issue(&format!("client-{name}"), |params| {
            let others: Vec<_> = others.iter().map(|&other| other.to_owned()).collect();
            params.subject_alt_names = CertificateParams::new(others).unwrap().subject_alt_names;
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.serial_number = Some(serial(name));
        })
    }

    fn issue(&self, file: &str, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        self.certify(file, KeyPair::generate().unwrap(), change)
    }

    fn certify(
        &self,
        file: &str,
        key: KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name = Default::default();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let [path, key_path] = ["pem", "key"].map(|end| self.path(&format!("{file}.{end}")));
        fs::write(&path, certificate.pem() + &self.chain).unwrap();
        write_secret(&key_path, &key.serialize_pem());
        Pair { certificate: path, key: key_path }
    }

    /// Writes the list of clients whose certificates do not hold any more; returns its file.
    pub fn revoke(&self, names: &[&str]) -> String {
        let time = date_time_ymd(2024, 1, 1);
        let revoked = names.iter().map(|name| RevokedCertParams {
            serial_number: serial(name),
            revocation_time: time,
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: time,
            next_update: date_time_ymd(2124, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.path("revoked.pem");
        fs::write(&path, list.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A client by hand that trusts this authority, over TLS.
    pub fn peer(&self, port: u16, pair: Option<&Pair>, protocols: &[&str]) -> TlsPeer {
        let (session, tcp) = self.connect(port, pair, protocols);
        TlsPeer(BufReader::new(StreamOwned::new(session, tcp)))
    }

    /// What it takes to be such a client.
    pub fn connect(
        &self,
        port: u16,
        pair: Option<&Pair>,
        protocols: &[&str],
    ) -> (ClientConnection, TcpStream) {
        let mut roots = RootCertStore::empty();
        let own = CertificateDer::from_pem_file(self.path("ca.pem")).unwrap();
        roots.add(own).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match pair {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = CertificateDer::pem_file_iter(&pair.certificate).unwrap();
                let chain = chain.map(Result::unwrap).collect();
                let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_nodelay(true).unwrap();
        (session, tcp)
    }
}

/// What makes certificates by hand is there.
pub fn has_openssl() -> bool {
    Command::new("openssl").arg("version").output().is_ok()
}

/// For a server on this machine.
fn local(params: &mut CertificateParams) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    params.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
}

/// A number for each name.
fn serial(name: &str) -> SerialNumber {
    SerialNumber::from_slice(&[&[1], name.as_bytes()].concat())
}

pub fn write_secret(path: &Path, text: &str) {
    let _ = fs::remove_file(path);
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A client that speaks the protocol by hand, over TLS.
pub struct TlsPeer(pub BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl TlsPeer {
    pub fn send(&mut self, text: &str) -> std::io::Result<()> {
        self.0.get_mut().write_all(text.as_bytes())?;
        self.0.get_mut().flush()
    }

    /// The next line, or why there is none; empty at the end.
    pub fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Sends a line and returns its answer.
    pub fn ask(&mut self, request: &str) -> String {
        self.send(&format!("{request}\n")).unwrap();
        self.line().unwrap()
    }

    /// Says that this is the end of what it sends.
    pub fn end(&mut self) {
        let stream = self.0.get_mut();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
    }
}
