package virtualserver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"k8s.io/client-go/tools/cache"
)

// Each reconciliation is a span that names the VirtualServer. One that failed says why, without secrets.
func TestReconciliationsAreTraced(t *testing.T) {
	b := newBench(t, testServer())
	spans := tracetest.NewSpanRecorder()
	b.tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer(tracerName)

	_, err := b.traced(t.Context(), cache.ObjectName{Namespace: testNamespace, Name: "nobody"})
	require.NoError(t, err)
	require.Len(t, spans.Ended(), 1)
	span := spans.Ended()[0]
	assert.Equal(t, "Reconcile VirtualServer", span.Name())
	assert.Equal(t, codes.Unset, span.Status().Code)
	values := map[string]string{}
	for _, attribute := range span.Attributes() {
		values[string(attribute.Key)] = attribute.Value.AsString()
	}
	assert.Equal(t, map[string]string{"k8s.namespace.name": testNamespace, "virtualserver.name": "nobody"}, values)
}
