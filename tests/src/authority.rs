use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A CA of a test's own, by openssl; its files end with it.
#[derive(Debug)]
pub struct Authority {
    directory: PathBuf,
}

/// A certificate with its key, as files.
#[derive(Clone, Debug)]
pub struct Issued {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

static NUMBER: AtomicUsize = AtomicUsize::new(0);

const CONFIG: &str = "[ca]\ndefault_ca=own\n[own]\ndir=.\ndatabase=index.txt\nserial=serial\ncrlnumber=crlnumber\nnew_certs_dir=.\n\
    certificate=ca.pem\nprivate_key=ca.key\ndefault_md=sha256\ndefault_days=30\ndefault_crl_days=30\npolicy=any\n\
    unique_subject=no\nrand_serial=yes\nemail_in_dn=no\n[any]\ncommonName=supplied\norganizationName=optional\n\
    [req]\ndistinguished_name=dn\n[dn]\n";

impl Authority {
    /// # Panics
    /// When there is no openssl.
    pub fn new(name: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("plimsoll-ca-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let authority = Self { directory };
        authority.write("ca.cnf", CONFIG);
        authority.write("index.txt", "");
        // With a number a list is of version 2 (RFC 5280 section 5.1.2.1), which is what verifiers read.
        authority.write("crlnumber", "01\n");
        let subject = format!("/CN={name}");
        let usage = "keyUsage=critical,keyCertSign,cRLSign";
        let made = ["req", "-x509", "-config", "ca.cnf", "-days", "30", "-subj", &subject, "-out", "ca.pem"];
        authority
            .openssl(&[&made[..], &KEY, &["-keyout", "ca.key"], &["-addext", BASIC_CA, "-addext", usage]].concat());
        authority
    }

    /// Its own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Issues a certificate for these names, such as `DNS:a.test`, in the files `file.pem` and `file.key`.
    ///
    /// # Panics
    /// When there is no openssl.
    pub fn issue(&self, file: &str, names: &str) -> Issued {
        self.issue_until(file, names, "20991231235959Z")
    }

    /// The same up to a time, such as `20200101000000Z`.
    ///
    /// # Panics
    /// As [`Self::issue`].
    pub fn issue_until(&self, file: &str, names: &str, until: &str) -> Issued {
        self.sign(file, &format!("basicConstraints=CA:FALSE\nsubjectAltName={names}\n"), until)
    }

    /// A CA below this one.
    ///
    /// # Panics
    /// As [`Self::issue`].
    pub fn below(&self, name: &str) -> Self {
        let below = Self::new(name);
        let issued =
            self.sign(name, &format!("{BASIC_CA}\nkeyUsage=critical,keyCertSign,cRLSign\n"), "20991231235959Z");
        std::fs::copy(issued.certificate, below.certificate()).expect("a copy");
        std::fs::copy(issued.key, below.directory.join("ca.key")).expect("a copy");
        below
    }

    /// Revokes a certificate; [`Self::crl`] says so from then on.
    ///
    /// # Panics
    /// As [`Self::issue`].
    pub fn revoke(&self, issued: &Issued) {
        self.openssl(&["ca", "-config", "ca.cnf", "-revoke", &issued.certificate.display().to_string()]);
    }

    /// The list of what is revoked by now.
    ///
    /// # Panics
    /// As [`Self::issue`].
    pub fn crl(&self) -> PathBuf {
        self.openssl(&["ca", "-config", "ca.cnf", "-gencrl", "-out", "crl.pem"]);
        self.directory.join("crl.pem")
    }

    fn sign(&self, file: &str, extensions: &str, until: &str) -> Issued {
        let (certificate, key, request) = (format!("{file}.pem"), format!("{file}.key"), format!("{file}.csr"));
        self.write("extensions.cnf", extensions);
        let subject = format!("/CN={file}/O=Tests");
        let wanted = ["req", "-config", "ca.cnf", "-new", "-subj", &subject, "-keyout", &key, "-out", &request];
        self.openssl(&[&wanted[..], &KEY].concat());
        let signed = ["ca", "-config", "ca.cnf", "-batch", "-notext", "-extfile", "extensions.cnf", "-in", &request];
        let dates = ["-startdate", "20190101000000Z", "-enddate", until, "-out", &certificate];
        self.openssl(&[&signed[..], &dates].concat());
        Issued { certificate: self.directory.join(certificate), key: self.directory.join(key) }
    }

    fn openssl(&self, arguments: &[&str]) {
        let made = Command::new("openssl")
            .args(arguments)
            .current_dir(&self.directory)
            .output()
            .expect("openssl starts; `apt-get install openssl` brings it");
        assert!(made.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&made.stderr));
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.directory.join(file), text).expect("room for a file");
    }
}

const BASIC_CA: &str = "basicConstraints=critical,CA:TRUE";
const KEY: [&str; 6] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-batch"];

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Issued {
    /// With further certificates behind it, as servers send them.
    ///
    /// # Panics
    /// When a file is not there.
    pub fn chained_to(&self, authority: &Path) -> Self {
        let read = |path: &Path| std::fs::read(path).expect("a file");
        let certificate = self.certificate.with_extension("chain.pem");
        std::fs::write(&certificate, [read(&self.certificate), read(authority)].concat()).expect("room for a file");
        Self { certificate, key: self.key.clone() }
    }
}
