package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

// The list of what is in an image, in the form of SPDX 2.3 (https://spdx.github.io/spdx-spec/v2.3): the program, and each module
// that the compiler says is in it, with the checksum by which Go knows it.

type spdx struct {
	Version       string         `json:"spdxVersion"`
	License       string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	Creation      creation       `json:"creationInfo"`
	Packages      []spdxPackage  `json:"packages"`
	Relationships []relationship `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID            string        `json:"SPDXID"`
	Name          string        `json:"name"`
	Version       string        `json:"versionInfo"`
	Location      string        `json:"downloadLocation"`
	FilesAnalyzed bool          `json:"filesAnalyzed"`
	Concluded     string        `json:"licenseConcluded"`
	Declared      string        `json:"licenseDeclared"`
	Copyright     string        `json:"copyrightText"`
	Purpose       string        `json:"primaryPackagePurpose,omitempty"`
	Checksums     []checksum    `json:"checksums,omitempty"`
	References    []externalRef `json:"externalRefs,omitempty"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type externalRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

const (
	documentID   = "SPDXRef-DOCUMENT"
	programID    = "SPDXRef-Package-program"
	noAssertion  = "NOASSERTION"
	productSPDX  = "Apache-2.0"
	documentBase = "https://tensorstack.dev/spdx/"
)

// listOf says what is in the program.
func listOf(p program) ([]byte, error) {
	committed, err := p.committed()
	if err != nil {
		return nil, err
	}
	binary, err := os.ReadFile(p.path)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(binary)
	document := spdx{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: documentID, Name: name + "-" + p.architecture,
		Namespace: documentBase + name + "-" + p.architecture + "-" + hex.EncodeToString(sum[:]),
		Creation:  creation{Created: committed.Format(time.RFC3339), Creators: []string{"Tool: virtualserver-hack-images"}},
		Packages: []spdxPackage{{
			ID: programID, Name: name, Version: p.version(), Location: noAssertion, Concluded: productSPDX, Declared: productSPDX,
			Copyright: noAssertion, Purpose: "APPLICATION", Checksums: []checksum{{"SHA256", hex.EncodeToString(sum[:])}},
		}},
		Relationships: []relationship{{documentID, "DESCRIBES", programID}},
	}
	goPackage := packageOf("stdlib", strings.TrimPrefix(p.info.GoVersion, "go"), "")
	for _, found := range append([]spdxPackage{goPackage}, modulesOf(p.info.Deps)...) {
		document.Packages = append(document.Packages, found)
		document.Relationships = append(document.Relationships, relationship{programID, "CONTAINS", found.ID})
	}
	return json.MarshalIndent(document, "", "  ")
}

func modulesOf(modules []*debug.Module) []spdxPackage {
	var packages []spdxPackage
	for _, module := range modules {
		if module.Replace != nil {
			module = module.Replace
		}
		packages = append(packages, packageOf(module.Path, module.Version, module.Sum))
	}
	return packages
}

// packageOf describes a module. sum is as in go.sum, or empty.
func packageOf(path, version, sum string) spdxPackage {
	found := spdxPackage{
		ID: "SPDXRef-Package-" + identifier(path+"-"+version), Name: path, Version: version,
		Location: noAssertion, Concluded: noAssertion, Declared: noAssertion, Copyright: noAssertion, Purpose: "LIBRARY",
		References: []externalRef{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + path + "@" + version}},
	}
	// h1 is the SHA-256 of the list of the module's files (golang.org/x/mod/sumdb/dirhash).
	if digest, ok := strings.CutPrefix(sum, "h1:"); ok {
		if bytes, err := base64.StdEncoding.DecodeString(digest); err == nil {
			found.Checksums = []checksum{{"SHA256", hex.EncodeToString(bytes)}}
		}
	}
	return found
}

// identifier keeps of a text what an identifier of SPDX may have.
func identifier(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		default:
			return '-'
		}
	}, text)
}
