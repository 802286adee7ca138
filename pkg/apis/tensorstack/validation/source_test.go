package validation

import (
	"strings"
	"testing"

	"k8s.io/utils/ptr"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
)

func from(source cdiv1.DataVolumeSource) func(*tensorstack.VirtualServerSpec) {
	return func(spec *tensorstack.VirtualServerSpec) { spec.Storage.Root.Source = source }
}

const sourceField = "spec.storage.root.source"

func TestSourceChoice(t *testing.T) {
	checkRules(t, map[string]rule{
		"none":   {from(cdiv1.DataVolumeSource{}), []string{sourceField + " set one of"}},
		"upload": {from(cdiv1.DataVolumeSource{Upload: &cdiv1.DataVolumeSourceUpload{}}), nil},
		"two": {from(cdiv1.DataVolumeSource{Upload: &cdiv1.DataVolumeSourceUpload{}, Blank: &cdiv1.DataVolumeBlankImage{}}),
			[]string{sourceField + ".blank keep one"}},
	})
}

func TestHTTPSource(t *testing.T) {
	http := func(change func(*cdiv1.DataVolumeSourceHTTP)) func(*tensorstack.VirtualServerSpec) {
		http := &cdiv1.DataVolumeSourceHTTP{URL: "https://example.com/a.img"}
		change(http)
		return from(cdiv1.DataVolumeSource{HTTP: http})
	}
	url := func(url string) func(*tensorstack.VirtualServerSpec) {
		return http(func(http *cdiv1.DataVolumeSourceHTTP) { http.URL = url })
	}
	checksum := func(checksum string) func(*tensorstack.VirtualServerSpec) {
		return http(func(http *cdiv1.DataVolumeSourceHTTP) { http.Checksum = checksum })
	}
	header := func(header string) func(*tensorstack.VirtualServerSpec) {
		return http(func(http *cdiv1.DataVolumeSourceHTTP) { http.ExtraHeaders = []string{header} })
	}
	const at, sum = sourceField + ".http.", sourceField + ".http.checksum "
	checkRules(t, map[string]rule{
		"https":                 {url("https://example.com/a.img?b=c"), nil},
		"no URL":                {url(""), []string{at + "url Required"}},
		"no scheme":             {url("example.com/a.img"), []string{at + "url not a URL"}},
		"relative":              {url("/a.img"), []string{at + "url must begin with https://"}},
		"file":                  {url("file:///etc/passwd"), []string{at + "url must begin with https://"}},
		"ftp":                   {url("ftp://example.com/a"), []string{at + "url must begin with https://"}},
		"no host":               {url("https:///a.img"), []string{at + "url must name a host"}},
		"opaque":                {url("https:a.img"), []string{at + "url must name a host"}},
		"a line break":          {url("https://example.com/\n"), []string{at + "url a blank"}},
		"too long":              {url("https://example.com/" + strings.Repeat("a", maxURL)), []string{at + "url Too long"}},
		"checksum":              {checksum("SHA256:" + strings.Repeat("aB", 32)), nil},
		"md5":                   {checksum("md5:" + strings.Repeat("0", 32)), nil},
		"unknown checksum":      {checksum("crc32:00000000"), []string{sum + "must begin with"}},
		"checksum alone":        {checksum(strings.Repeat("0", 64)), []string{sum + "must begin with"}},
		"short checksum":        {checksum("sha1:00"), []string{sum + "40 hexadecimal"}},
		"checksum not in hex":   {checksum("md5:" + strings.Repeat("g", 32)), []string{sum + "32 hexadecimal"}},
		"header":                {header("X-Team: compute"), nil},
		"header without value":  {header("X-Team"), []string{at + "extraHeaders[0] HTTP header"}},
		"header with two lines": {header("X-Team: a\r\nAuthorization: b"), []string{at + "extraHeaders[0] HTTP header"}},
		"header with a space":   {header("X Team: a"), []string{at + "extraHeaders[0] HTTP header"}},
		"bad names": {http(func(http *cdiv1.DataVolumeSourceHTTP) {
			http.SecretRef, http.CertConfigMap, http.SecretExtraHeaders = "A", "B", []string{""}
		}), []string{at + "secretRef name of a Secret", at + "certConfigMap name of a ConfigMap", at + "secretExtraHeaders[0] Required"}},
	})
}

func TestBucketSources(t *testing.T) {
	s3 := func(url string) func(*tensorstack.VirtualServerSpec) {
		return from(cdiv1.DataVolumeSource{S3: &cdiv1.DataVolumeSourceS3{URL: url}})
	}
	gcs := func(url string) func(*tensorstack.VirtualServerSpec) {
		return from(cdiv1.DataVolumeSource{GCS: &cdiv1.DataVolumeSourceGCS{URL: url}})
	}
	checkRules(t, map[string]rule{
		"s3":           {s3("https://s3.example.com/bucket/key"), nil},
		"s3 scheme":    {s3("s3://bucket/key"), []string{sourceField + ".s3.url must begin with https:// or http://"}},
		"no s3":        {s3(""), []string{sourceField + ".s3.url Required"}},
		"gs":           {gcs("gs://bucket/key"), nil},
		"gcs by https": {gcs("https://storage.googleapis.com/bucket/key"), nil},
		"gcs by file":  {gcs("file:///a"), []string{sourceField + ".gcs.url must begin with gs://"}},
		"bad s3 names": {from(cdiv1.DataVolumeSource{S3: &cdiv1.DataVolumeSourceS3{URL: "https://a/b/c", SecretRef: "A", CertConfigMap: "B"}}),
			[]string{sourceField + ".s3.secretRef name of a Secret", sourceField + ".s3.certConfigMap name of a ConfigMap"}},
		"bad gcs name": {from(cdiv1.DataVolumeSource{GCS: &cdiv1.DataVolumeSourceGCS{URL: "gs://bucket/b", SecretRef: "A"}}),
			[]string{sourceField + ".gcs.secretRef name of a Secret"}},
	})
}

func TestRegistrySource(t *testing.T) {
	registry := func(registry cdiv1.DataVolumeSourceRegistry) func(*tensorstack.VirtualServerSpec) {
		return from(cdiv1.DataVolumeSource{Registry: &registry})
	}
	address := ptr.To("docker://registry.example.com:5000/images/fedora:40")
	const at = sourceField + ".registry."
	checkRules(t, map[string]rule{
		"image":       {registry(cdiv1.DataVolumeSourceRegistry{URL: address}), nil},
		"by the node": {registry(cdiv1.DataVolumeSourceRegistry{URL: address, PullMethod: ptr.To(cdiv1.RegistryPullNode)}), nil},
		"archive":     {registry(cdiv1.DataVolumeSourceRegistry{URL: ptr.To("oci-archive:///images/a.tar")}), nil},
		"https":       {registry(cdiv1.DataVolumeSourceRegistry{URL: ptr.To("https://registry.example.com/a")}), []string{at + "url must begin with docker://"}},
		"neither":     {registry(cdiv1.DataVolumeSourceRegistry{}), []string{at + "url Required"}},
		"both":        {registry(cdiv1.DataVolumeSourceRegistry{URL: address, ImageStream: ptr.To("a")}), []string{at + "imageStream keep one"}},
		"stream":      {registry(cdiv1.DataVolumeSourceRegistry{ImageStream: ptr.To("a"), PullMethod: ptr.To(cdiv1.RegistryPullNode)}), nil},
		"stream, pod": {registry(cdiv1.DataVolumeSourceRegistry{ImageStream: ptr.To("a")}), []string{at + "imageStream works only with pullMethod: node"}},
		"no stream": {registry(cdiv1.DataVolumeSourceRegistry{ImageStream: ptr.To(""), PullMethod: ptr.To(cdiv1.RegistryPullNode)}),
			[]string{at + "imageStream Required"}},
		"method":       {registry(cdiv1.DataVolumeSourceRegistry{URL: address, PullMethod: ptr.To(cdiv1.RegistryPullMethod("x"))}), []string{at + "pullMethod supported"}},
		"architecture": {registry(cdiv1.DataVolumeSourceRegistry{URL: address, Platform: &cdiv1.PlatformOptions{Architecture: "arm64"}}), nil},
		"bad architecture": {registry(cdiv1.DataVolumeSourceRegistry{URL: address, Platform: &cdiv1.PlatformOptions{Architecture: "a b"}}),
			[]string{at + "platform.architecture valid label"}},
		"bad names": {registry(cdiv1.DataVolumeSourceRegistry{URL: address, SecretRef: ptr.To("A"), CertConfigMap: ptr.To("B")}),
			[]string{at + "secretRef name of a Secret", at + "certConfigMap name of a ConfigMap"}},
	})
}

func TestCloneSources(t *testing.T) {
	pvc := func(namespace, name string) func(*tensorstack.VirtualServerSpec) {
		return from(cdiv1.DataVolumeSource{PVC: &cdiv1.DataVolumeSourcePVC{Namespace: namespace, Name: name}})
	}
	snapshot := func(namespace, name string) func(*tensorstack.VirtualServerSpec) {
		return from(cdiv1.DataVolumeSource{Snapshot: &cdiv1.DataVolumeSourceSnapshot{Namespace: namespace, Name: name}})
	}
	checkRules(t, map[string]rule{
		"claim":                   {pvc("golden", "ubuntu"), nil},
		"claim without namespace": {pvc("", "ubuntu"), []string{sourceField + ".pvc.namespace Required"}},
		"claim without name":      {pvc("golden", ""), []string{sourceField + ".pvc.name Required"}},
		"claim, bad namespace":    {pvc("a.b", "ubuntu"), []string{sourceField + ".pvc.namespace name of a namespace"}},
		"snapshot":                {snapshot("golden", "ubuntu"), nil},
		"snapshot without both":   {snapshot("", ""), []string{sourceField + ".snapshot.namespace Required", sourceField + ".snapshot.name Required"}},
	})
}

func TestHypervisorSources(t *testing.T) {
	imageio := func(change func(*cdiv1.DataVolumeSourceImageIO)) func(*tensorstack.VirtualServerSpec) {
		source := &cdiv1.DataVolumeSourceImageIO{URL: "https://ovirt.example.com/api", DiskID: "1", SecretRef: "s", CertConfigMap: "c"}
		change(source)
		return from(cdiv1.DataVolumeSource{Imageio: source})
	}
	vddk := func(change func(*cdiv1.DataVolumeSourceVDDK)) func(*tensorstack.VirtualServerSpec) {
		source := &cdiv1.DataVolumeSourceVDDK{URL: "https://vcenter.example.com", UUID: "u", BackingFile: "[d] f", Thumbprint: "t", SecretRef: "s"}
		change(source)
		return from(cdiv1.DataVolumeSource{VDDK: source})
	}
	const io, vd = sourceField + ".imageio.", sourceField + ".vddk."
	checkRules(t, map[string]rule{
		"imageio":             {imageio(func(*cdiv1.DataVolumeSourceImageIO) {}), nil},
		"imageio, no disk":    {imageio(func(s *cdiv1.DataVolumeSourceImageIO) { s.DiskID = "" }), []string{io + "diskId Required"}},
		"imageio, no secret":  {imageio(func(s *cdiv1.DataVolumeSourceImageIO) { s.SecretRef = "" }), []string{io + "secretRef Required"}},
		"imageio, no CA":      {imageio(func(s *cdiv1.DataVolumeSourceImageIO) { s.CertConfigMap = "" }), []string{io + "certConfigMap Required"}},
		"imageio, bad scheme": {imageio(func(s *cdiv1.DataVolumeSourceImageIO) { s.URL = "gs://a/b" }), []string{io + "url must begin"}},
		"imageio, insecure": {imageio(func(s *cdiv1.DataVolumeSourceImageIO) {
			s.CertConfigMap, s.InsecureSkipVerify = "", ptr.To(true)
		}), nil},
		"vddk":            {vddk(func(*cdiv1.DataVolumeSourceVDDK) {}), nil},
		"vddk, no URL":    {vddk(func(s *cdiv1.DataVolumeSourceVDDK) { s.URL = "" }), []string{vd + "url Required"}},
		"vddk, no secret": {vddk(func(s *cdiv1.DataVolumeSourceVDDK) { s.SecretRef = "" }), []string{vd + "secretRef Required"}},
		"vddk, no disk": {vddk(func(s *cdiv1.DataVolumeSourceVDDK) { s.UUID, s.BackingFile, s.Thumbprint = "", "", "" }),
			[]string{vd + "uuid Required", vd + "backingFile Required", vd + "thumbprint Required"}},
		"vddk, bad names": {vddk(func(s *cdiv1.DataVolumeSourceVDDK) { s.ExtraArgs, s.InitImageURL = "A", "https://a" }),
			[]string{vd + "extraArgs name of a ConfigMap", vd + "initImageURL without a scheme"}},
	})
}
