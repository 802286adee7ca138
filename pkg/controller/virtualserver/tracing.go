package virtualserver

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/client-go/tools/cache"

	"tensorstack.dev/virtualserver/pkg/status"
)

// tracerName names this package in traces.
const tracerName = "tensorstack.dev/virtualserver/controller"

// traced reconciles one VirtualServer in a span. What is asked of other servers meanwhile is part of it.
func (c *Controller) traced(ctx context.Context, key cache.ObjectName) (outcome, error) {
	ctx, span := c.tracer.Start(ctx, "Reconcile VirtualServer", trace.WithAttributes(
		attribute.String("k8s.namespace.name", key.Namespace), attribute.String("virtualserver.name", key.Name)))
	defer span.End()
	result, err := c.reconcile(ctx, key)
	if err != nil {
		span.SetStatus(codes.Error, status.OneLine(err.Error()))
	}
	return result, err
}
