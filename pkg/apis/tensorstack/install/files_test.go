package install

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack"
	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
)

const repository = "../../../.."

// manifests finds the files that hold VirtualServers, and the ones that they need.
func manifests(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{
		"artifacts/examples/*.yaml",
		"artifacts/examples/sources/*.yaml",
		"test/testdata/guide/*.yaml",
	} {
		found, err := filepath.Glob(filepath.Join(repository, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, found, pattern)
		files = append(files, found...)
	}
	return files
}

// Every file decodes without an unknown or doubled field, and comes back the same from both encodings.
func TestFilesDecodeStrictlyAndRoundTrip(t *testing.T) {
	scheme := runtime.NewScheme()
	Install(scheme)
	require.NoError(t, corev1.AddToScheme(scheme))
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)

	virtualServers := 0
	for _, file := range manifests(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, document := range split(t, data) {
				decoded, _, err := codecs.UniversalDeserializer().Decode(document, nil, nil)
				require.NoError(t, err)
				external, ok := decoded.(*v1beta1.VirtualServer)
				if !ok {
					continue
				}
				virtualServers++
				requireRoundTrip(t, scheme, codecs, external)
			}
		})
	}
	assert.Greater(t, virtualServers, 30)
}

func requireRoundTrip(t *testing.T, scheme *runtime.Scheme, codecs serializer.CodecFactory, external *v1beta1.VirtualServer) {
	t.Helper()
	scheme.Default(external)
	internal := &tensorstack.VirtualServer{}
	require.NoError(t, scheme.Convert(external, internal, nil))
	codec := codecs.LegacyCodec(v1beta1.SchemeGroupVersion)
	encoded, err := runtime.Encode(codec, internal)
	require.NoError(t, err)
	again, err := runtime.Decode(codecs.UniversalDecoder(tensorstack.SchemeGroupVersion), encoded)
	require.NoError(t, err)
	assert.True(t, equality.Semantic.DeepEqual(internal, again), cmp.Diff(internal, again))
}

func split(t *testing.T, data []byte) [][]byte {
	t.Helper()
	var documents [][]byte
	for reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data))); ; {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			require.NotEmpty(t, documents)
			return documents
		}
		require.NoError(t, err)
		documents = append(documents, document)
	}
}
