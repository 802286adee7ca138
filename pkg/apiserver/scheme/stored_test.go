package scheme

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	tensorstackfuzzer "tensorstack.dev/virtualserver/pkg/apis/tensorstack/fuzzer"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

var update = flag.Bool("update", false, "write the stored objects of the present version anew")

// presentVersion is the version whose objects -update writes. Those of released versions never change again.
const presentVersion = "v0.2.0"

func storageCodec() runtime.Codec { return Codecs.LegacyCodec(v1beta1.SchemeGroupVersion) }

// samples are the objects that are stored: the guide's first example, and one in which every field is set.
func samples(t testing.TB) map[string]runtime.Object {
	t.Helper()
	manifest, err := os.ReadFile("../../../test/testdata/guide/01-first-example.yaml")
	require.NoError(t, err)
	example, _, err := Codecs.UniversalDecoder(tensorstack.SchemeGroupVersion).Decode(manifest, nil, nil)
	require.NoError(t, err)
	full := &tensorstack.VirtualServer{}
	filler := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, tensorstackfuzzer.Funcs), rand.NewSource(1), Codecs)
	filler.NilChance(0).NumElements(1, 2).Fill(full)
	full.TypeMeta = metav1.TypeMeta{}
	samples := map[string]runtime.Object{"example": example, "full": full}
	for _, name := range []string{"vs-placement", "vs-firmware", "vs-container-disk"} {
		manifest, err := os.ReadFile("../../../artifacts/examples/" + name + ".yaml")
		require.NoError(t, err)
		samples[name], _, err = Codecs.UniversalDecoder(tensorstack.SchemeGroupVersion).Decode(manifest, nil, nil)
		require.NoError(t, err)
	}
	return samples
}

// Cores come back from the store byte by byte as they were written, as a number or as text, and so do those of version 0.1.0.
func TestCoresAreKeptAsTheyAreWritten(t *testing.T) {
	const before, after = `{"apiVersion":"tensorstack.dev/v1beta1","kind":"VirtualServer","spec":{"resources":{"cpu":{"cores":`, `},"memory":"1Gi"}}}`
	for _, written := range []string{`2`, `"2"`, `"2.0"`, `"2000m"`, `"1k"`, `"1Ki"`, `"0.5k"`, `" 2 "`, `"1e2"`, `1024`} {
		object, err := runtime.Decode(storageCodec(), []byte(before+written+after))
		require.NoError(t, err, written)
		again, err := runtime.Encode(storageCodec(), object)
		require.NoError(t, err, written)
		assert.Contains(t, string(again), `"cpu":{"cores":`+written+`}`)
	}
}

// TestStoredObjectsStayReadable reads what every released version has written into etcd.
func TestStoredObjectsStayReadable(t *testing.T) {
	if *update {
		for name, object := range samples(t) {
			stored, err := runtime.Encode(storageCodec(), object)
			require.NoError(t, err)
			file := filepath.Join("testdata", "stored", presentVersion, name+".json")
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
			require.NoError(t, os.WriteFile(file, stored, 0o644))
		}
	}
	files, err := filepath.Glob("testdata/stored/*/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			stored, err := os.ReadFile(file)
			require.NoError(t, err)
			object, err := runtime.Decode(storageCodec(), stored)
			require.NoError(t, err)
			require.IsType(t, &tensorstack.VirtualServer{}, object)
			again, err := runtime.Encode(storageCodec(), object)
			require.NoError(t, err)
			assert.JSONEq(t, string(stored), string(again), "a write that changes nothing must not lose anything")
		})
	}
}

// BenchmarkStorageEncodings compares the encodings that could be used in etcd.
func BenchmarkStorageEncodings(b *testing.B) {
	serializers := map[string]runtime.Serializer{
		"json": json.NewSerializerWithOptions(json.DefaultMetaFactory, Scheme, Scheme, json.SerializerOptions{}),
		"yaml": json.NewSerializerWithOptions(json.DefaultMetaFactory, Scheme, Scheme, json.SerializerOptions{Yaml: true}),
		"cbor": cbor.NewSerializer(Scheme, Scheme),
	}
	for name, object := range samples(b) {
		for encoding, serializer := range serializers {
			codec := Codecs.CodecForVersions(serializer, serializer, v1beta1.SchemeGroupVersion, tensorstack.SchemeGroupVersion)
			var stored bytes.Buffer
			require.NoError(b, codec.Encode(object, &stored))
			b.Run(fmt.Sprintf("%s/%s/encode", name, encoding), func(b *testing.B) {
				for b.Loop() {
					var buffer bytes.Buffer
					if err := codec.Encode(object, &buffer); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(stored.Len()), "bytes")
			})
			b.Run(fmt.Sprintf("%s/%s/decode", name, encoding), func(b *testing.B) {
				for b.Loop() {
					if _, _, err := codec.Decode(stored.Bytes(), nil, nil); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
