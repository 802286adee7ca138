package apiserver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
)

// fakeCA is a CA that may not be there yet.
type fakeCA struct {
	dynamiccertificates.CAContentProvider
	bundle []byte
}

func (f *fakeCA) CurrentCABundleContent() []byte { return f.bundle }

func TestServerIsReadyOnceItKnowsTheFrontProxy(t *testing.T) {
	ca := &fakeCA{}
	check := frontProxyCheck(&authenticatorfactory.RequestHeaderConfig{CAContentProvider: ca})
	assert.Error(t, check.Check(nil))
	ca.bundle = []byte("a certificate")
	assert.NoError(t, check.Check(nil))
	assert.NoError(t, frontProxyCheck(nil).Check(nil), "a server without a front proxy does not wait for one")
}
