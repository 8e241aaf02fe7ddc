package homeserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// Authority signs the servers' certificates, and is trusted by them for outbound connections.
type Authority struct {
	Certificate *x509.Certificate
	// Any key that x509 can sign with.
	Key any
}

// writeCertificates makes a certificate for the server name, and writes it, its key and the authority's certificate.
func (a Authority) writeCertificates(serverName, folder string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: serverName},
		DNSNames:     []string{serverName},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, &key.PublicKey, a.Key)
	if err != nil {
		return err
	}
	encodedKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	files := []struct {
		name, kind string
		bytes      []byte
	}{
		{"tls.crt", "CERTIFICATE", certificate},
		{"tls.key", "PRIVATE KEY", encodedKey},
		{"ca.crt", "CERTIFICATE", a.Certificate.Raw},
	}
	for _, file := range files {
		encoded := pem.EncodeToMemory(&pem.Block{Type: file.kind, Bytes: file.bytes})
		if err := os.WriteFile(filepath.Join(folder, file.name), encoded, 0o600); err != nil {
			return err
		}
	}
	return nil
}
