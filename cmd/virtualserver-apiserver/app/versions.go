package app

import (
	"context"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"

	"tensorstack.dev/virtualserver/pkg/kubevirt"
)

// versionsTimeout bounds the question for the versions of KubeVirt and CDI.
const versionsTimeout = 30 * time.Second

// versionReader tells the versions of KubeVirt and CDI.
type versionReader interface {
	Versions(ctx context.Context) (kubevirt.Versions, error)
}

// checkVersions says at the start which KubeVirt and CDI are there, and warns of those that are too old. Nothing waits for it.
func checkVersions(server *genericapiserver.GenericAPIServer, reader versionReader) error {
	return server.AddPostStartHook("check-kubevirt", func(hook genericapiserver.PostStartHookContext) error {
		go tellVersions(hook, reader)
		return nil
	})
}

func tellVersions(ctx context.Context, reader versionReader) {
	logger := klog.FromContext(ctx)
	ctx, cancel := context.WithTimeout(ctx, versionsTimeout)
	defer cancel()
	found, err := reader.Versions(ctx)
	if err != nil {
		logger.Info("The versions of KubeVirt and CDI cannot be read", "err", err)
		return
	}
	logger.Info("Found", "kubeVirt", found.KubeVirt, "cdi", found.CDI)
	for _, warning := range found.Warnings() {
		logger.Info("Warning: " + warning)
	}
}
