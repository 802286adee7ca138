package csi

import (
	"context"
	"errors"

	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// registrar tells the kubelet of the driver: the kubelet asks at every socket that it finds in its folder of plugins.
type registrar struct {
	registration.UnimplementedRegistrationServer
	endpoint string
	refused  context.CancelCauseFunc
}

// GetInfo says where the driver is.
func (r *registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: DriverName, Endpoint: r.endpoint, SupportedVersions: []string{"1.0.0"},
	}, nil
}

// NotifyRegistrationStatus ends the driver if the kubelet refused it. It is started again, which is another attempt.
func (r *registrar) NotifyRegistrationStatus(_ context.Context, answer *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	if !answer.GetPluginRegistered() {
		r.refused(errors.New("the kubelet refused the driver: " + answer.GetError()))
	}
	return &registration.RegistrationStatusResponse{}, nil
}
