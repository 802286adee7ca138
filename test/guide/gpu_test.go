package guide

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/apimachinery/pkg/api/meta"
	deviceplugin "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"

	"tensorstack.dev/virtualserver/pkg/apis/tensorstack/v1beta1"
	"tensorstack.dev/virtualserver/test/controlplane"
	"tensorstack.dev/virtualserver/test/framework"
)

// gpus is a device plugin of two devices that no machine has: their addresses are beyond the buses that there are.
type gpus struct {
	deviceplugin.UnimplementedDevicePluginServer
	mutex     sync.Mutex
	allocated []string
}

var addressOfGPU = map[string]string{"gpu-one": "0000:fd:1e.0", "gpu-two": "0000:fd:1f.0"}

func (*gpus) GetDevicePluginOptions(context.Context, *deviceplugin.Empty) (*deviceplugin.DevicePluginOptions, error) {
	return &deviceplugin.DevicePluginOptions{}, nil
}

func (*gpus) ListAndWatch(_ *deviceplugin.Empty, stream grpc.ServerStreamingServer[deviceplugin.ListAndWatchResponse]) error {
	devices := &deviceplugin.ListAndWatchResponse{}
	for id := range addressOfGPU {
		devices.Devices = append(devices.Devices, &deviceplugin.Device{ID: id, Health: deviceplugin.Healthy})
	}
	if err := stream.Send(devices); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// variableOfGPUs is where virt-launcher looks for the addresses (KubeVirt 1.7 pkg/util ResourceNameToEnvVar).
func variableOfGPUs() string {
	return "PCI_RESOURCE_" + strings.NewReplacer("/", "_", ".", "_").Replace(strings.ToUpper(controlplane.GPUResource))
}

// Allocate tells the container its devices as the vendors' plugins do: by the variable that virt-launcher reads.
func (g *gpus) Allocate(_ context.Context, request *deviceplugin.AllocateRequest) (*deviceplugin.AllocateResponse, error) {
	response := &deviceplugin.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		var addresses []string
		for _, id := range container.DevicesIds {
			addresses = append(addresses, addressOfGPU[id])
		}
		g.mutex.Lock()
		g.allocated = append(g.allocated, container.DevicesIds...)
		g.mutex.Unlock()
		response.ContainerResponses = append(response.ContainerResponses, &deviceplugin.ContainerAllocateResponse{
			Envs: map[string]string{variableOfGPUs(): strings.Join(addresses, ",")},
		})
	}
	return response, nil
}

func (g *gpus) given() []string {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return slices.Sorted(slices.Values(g.allocated))
}

// serveGPUs makes the plugin known to the kubelet of a node, until the test ends.
func serveGPUs(e *framework.Environment, node string) *gpus {
	e.T.Helper()
	// The name of a socket may have 108 bytes, and a checkout may lie deep.
	short, err := os.MkdirTemp("", "gpus")
	require.NoError(e.T, err)
	e.T.Cleanup(func() { assert.NoError(e.T, os.RemoveAll(short)) })
	folder := filepath.Join(short, "plugins")
	require.NoError(e.T, os.Symlink(filepath.Join(e.Plane.NodeDir(node), "data", "kubelet", "device-plugins"), folder))

	const socket = "gpus.sock"
	listener, err := net.Listen("unix", filepath.Join(folder, socket))
	require.NoError(e.T, err)
	server, plugin := grpc.NewServer(), &gpus{}
	deviceplugin.RegisterDevicePluginServer(server, plugin)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	e.T.Cleanup(func() { server.Stop(); assert.NoError(e.T, <-ended) })

	kubelet, err := grpc.NewClient("unix://"+filepath.Join(folder, "kubelet.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(e.T, err)
	defer func() { assert.NoError(e.T, kubelet.Close()) }()
	_, err = deviceplugin.NewRegistrationClient(kubelet).Register(e.Context, &deviceplugin.RegisterRequest{
		Version: deviceplugin.Version, Endpoint: socket, ResourceName: controlplane.GPUResource,
	})
	require.NoError(e.T, err)
	e.Within(commandTimeout, "the node offers its GPUs", func() error {
		path := strings.ReplaceAll(controlplane.GPUResource, ".", `\.`)
		if offered := e.MustKubectl("get", "node", node, "-o", "jsonpath={.status.allocatable."+path+"}"); offered != "2" {
			return fmt.Errorf("the node offers %q", offered)
		}
		return nil
	})
	return plugin
}

// There is no GPU here. All of its way is real but the device: the scheduler counts, the kubelet takes devices from a plugin, and
// virt-launcher is told their addresses.
func TestGPUsDownToTheLauncher(t *testing.T) {
	e := newEnvironment(t)
	node := strings.Fields(e.MustKubectl("get", "nodes", "-o", `jsonpath={.items[*].metadata.name}`))[0]
	plugin := serveGPUs(e, node)
	with := func(count int32) func(*v1beta1.VirtualServer) {
		return func(vs *v1beta1.VirtualServer) {
			vs.Spec.Resources.GPU = &v1beta1.GPU{Type: controlplane.GPUResource, Count: count}
		}
	}
	e.Create(small(e, "holder", with(2)))
	e.Within(bootTimeout, "the kubelet takes both devices", func() error {
		if given := plugin.given(); !slices.Equal(given, []string{"gpu-one", "gpu-two"}) {
			return fmt.Errorf("it has taken %v", given)
		}
		return nil
	})
	// KubeVirt needs to lock the memory of a guest with devices, which root may not do everywhere. Where it may, the hypervisor
	// finds no such device.
	vs := e.WaitFor(bootTimeout, "holder", "says why the node cannot start it", func(vs *v1beta1.VirtualServer) string {
		for _, cause := range []string{addressOfGPU["gpu-one"], addressOfGPU["gpu-two"], "memlock"} {
			if strings.Contains(vs.Status.Message, cause) {
				return ""
			}
		}
		return "message: " + vs.Status.Message
	})
	assert.Equal(t, node, vs.Status.Node)
	assert.Equal(t, v1beta1.StatusStarting, vs.Status.PrintableStatus)
	assert.Equal(t, "SyncFailed", meta.FindStatusCondition(vs.Status.Conditions, v1beta1.ConditionReady).Reason)
	pod := e.MustKubectl("get", "pods", "-l", "tensorstack.dev/virtualserver=holder", "-o", "jsonpath={.items[0].metadata.name}")
	told := e.MustKubectl("exec", pod, "-c", "compute", "--", "printenv", variableOfGPUs())
	assert.ElementsMatch(t, []string{addressOfGPU["gpu-one"], addressOfGPU["gpu-two"]}, strings.Split(strings.TrimSpace(told), ","), "virt-launcher is told both")

	e.Create(small(e, "waits", with(1)))
	e.WaitStatus("waits", v1beta1.StatusFailedUnschedulable)
	why := e.Run("", "kubectl", "vs", "-n", e.Namespace, "why", "waits")
	assert.NoError(t, why.Err, why.Stderr)
	assert.Contains(t, why.Stdout, "GPU "+controlplane.GPUResource+": 1 wanted; free: 0 of 2 on "+node)
	assert.Contains(t, why.Stdout, "VirtualServer "+e.Namespace+"/holder has 2")

	e.MustKubectl("delete", "virtualserver", "holder", "--wait=false")
	e.Within(bootTimeout, "who waits is given a device", func() error {
		if given := plugin.given(); len(given) < 3 {
			return errors.New("the kubelet has given out no device yet")
		}
		return nil
	})
}
