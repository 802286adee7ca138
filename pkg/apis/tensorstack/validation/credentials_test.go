package validation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

const hidden = "hunter2"

func TestCredentialsInASourceAreWarnedOf(t *testing.T) {
	headers := func(lines ...string) cdiv1.DataVolumeSource {
		return cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: "https://example.com/x.img", ExtraHeaders: lines}}
	}
	at := func(address string) cdiv1.DataVolumeSource {
		return cdiv1.DataVolumeSource{HTTP: &cdiv1.DataVolumeSourceHTTP{URL: address}}
	}
	for what, test := range map[string]struct {
		source cdiv1.DataVolumeSource
		want   string
	}{
		"Authorization":            {headers("Authorization: Bearer " + hidden), "source.http.extraHeaders[0]"},
		"in lower case":            {headers("X-Team: a", "authorization:Basic "+hidden), "source.http.extraHeaders[1]"},
		"OpenStack's":              {headers("X-Auth-Token: " + hidden), "extraHeaders[0]"},
		"GitLab's":                 {headers("PRIVATE-TOKEN: " + hidden), "extraHeaders[0]"},
		"Artifactory's":            {headers("X-JFrog-Art-Api: " + hidden), ""},
		"an API key":               {headers("X-Api-Key: " + hidden), "extraHeaders[0]"},
		"Azure's":                  {headers("Ocp-Apim-Subscription-Key: " + hidden), "extraHeaders[0]"},
		"a cookie":                 {headers("Cookie: session=" + hidden), "extraHeaders[0]"},
		"for a proxy":              {headers("Proxy-Authorization: Basic " + hidden), "extraHeaders[0]"},
		"with blanks":              {headers("Authorization : " + hidden), "extraHeaders[0]"},
		"a harmless header":        {headers("X-Team: compute", "Accept: */*", "X-Author: ann", "X-Keyboard: qwerty", "User-Agent: vs"), ""},
		"user and password":        {at("https://ann:" + hidden + "@example.com/x.img"), "source.http.url: holds a user name"},
		"Amazon's signature":       {at("https://b.s3.amazonaws.com/x?X-Amz-Credential=a&X-Amz-Signature=" + hidden), "source.http.url: its query carries a credential (X-Amz-Credential, X-Amz-Signature)"},
		"Amazon's old signature":   {at("https://b.s3.amazonaws.com/x?AWSAccessKeyId=a&Signature=" + hidden), "(AWSAccessKeyId, Signature)"},
		"Google's signature":       {at("https://storage.googleapis.com/b/x?X-Goog-Signature=" + hidden), "(X-Goog-Signature)"},
		"a shared access of Azure": {at("https://a.blob.core.windows.net/b/x?sv=2024&sig=" + hidden), "(sig)"},
		"an access token":          {at("https://example.com/x?access_token=" + hidden), "(access_token)"},
		"a token in one word":      {at("https://example.com/x?authtoken=" + hidden), "(authtoken)"},
		"a harmless query":         {at("https://example.com/x?version=3&arch=amd64&keyboard=us"), ""},
		"of a registry": {cdiv1.DataVolumeSource{Registry: &cdiv1.DataVolumeSourceRegistry{
			URL: ptr.To("docker://ann:" + hidden + "@example.com/x")}}, "source.registry.url: holds a user name"},
		"a signed address in s3": {cdiv1.DataVolumeSource{S3: &cdiv1.DataVolumeSourceS3{
			URL: "https://s3.example.com/b/x?versionId=3"}}, "source.s3.url: what follows the question mark is not used"},
	} {
		got := strings.Join(credentialWarnings(&test.source, field.NewPath("source")), "\n")
		assert.NotContains(t, got, hidden, what)
		if test.want == "" {
			assert.Empty(t, got, what)
		} else {
			assert.Contains(t, got, test.want, what)
		}
	}
}

func TestObjectsInBuckets(t *testing.T) {
	for address, valid := range map[string]bool{
		"https://s3.eu-central-1.amazonaws.com/images/fedora.qcow2": true,
		"http://192.0.2.10:9000/images/folder/fedora.qcow2":         true,
		"https://minio.example.com/images/a%20b":                    true,
		"https://s3.example.com":                                    false,
		"https://s3.example.com/":                                   false,
		"https://s3.example.com/images":                             false,
		"https://s3.example.com/images/":                            false,
		"https://s3.example.com//fedora.qcow2":                      false,
		"https://s3.example.com/images/folder/":                     false,
		"https://images.s3.amazonaws.com/fedora.qcow2":              false,
		"s3://images/fedora.qcow2":                                  false,
		"s3://ann:" + hidden + "@images/fedora.qcow2":               false,
		"ftp://s3.example.com/images/fedora.qcow2":                  false,
		"": false,
	} {
		errs := validateS3(&cdiv1.DataVolumeSourceS3{URL: address}, field.NewPath("s3"))
		assert.Equal(t, valid, len(errs) == 0, "%s: %v", address, errs)
		assert.NotContains(t, fmt.Sprint(errs), hidden)
		if strings.HasPrefix(address, "s3:") {
			assert.ErrorContains(t, errs.ToAggregate(), "amazonaws.com/BUCKET/OBJECT")
		}
	}
	for address, valid := range map[string]bool{
		"gs://images/fedora.qcow2":                             true,
		"gs://images/folder/fedora.qcow2":                      true,
		"https://storage.cloud.google.com/images/fedora.qcow2": true,
		"gs://images":                                   false,
		"gs://images/":                                  false,
		"gs://images/folder/":                           false,
		"https://storage.cloud.google.com":              false,
		"https://storage.cloud.google.com/fedora.qcow2": false,
		"https://storage.cloud.google.com/images/":      false,
		"s3://images/fedora.qcow2":                      false,
	} {
		errs := validateGCS(&cdiv1.DataVolumeSourceGCS{URL: address}, field.NewPath("gcs"))
		assert.Equal(t, valid, len(errs) == 0, "%s: %v", address, errs)
	}
}
