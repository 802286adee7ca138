package volumes

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v11/controller"

	"tensorstack.dev/virtualserver/test/realnode/csi"
)

// provisionedBy is the annotation that the provisioner's library puts on its volumes.
const provisionedBy = "pv.kubernetes.io/provisioned-by"

// needsGrowth tells whether a bound claim asks for more than it has. A folder has no size, so that only the objects say
// how large the volume is.
func needsGrowth(claim *corev1.PersistentVolumeClaim) bool {
	wanted, have := claim.Spec.Resources.Requests[corev1.ResourceStorage], claim.Status.Capacity[corev1.ResourceStorage]
	return claim.DeletionTimestamp == nil && claim.Status.Phase == corev1.ClaimBound && wanted.Cmp(have) > 0
}

// grow gives claims the size that they ask for, until ctx is done.
func grow(ctx context.Context, client kubernetes.Interface) error {
	factory := informers.NewSharedInformerFactory(client, 0)
	claims := factory.Core().V1().PersistentVolumeClaims().Informer()
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	enqueue := func(object any) {
		if claim, ok := object.(*corev1.PersistentVolumeClaim); ok && needsGrowth(claim) {
			queue.Add(claim.Namespace + "/" + claim.Name)
		}
	}
	_, err := claims.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: enqueue, UpdateFunc: func(_, object any) { enqueue(object) }})
	if err != nil {
		return fmt.Errorf("watch claims: %w", err)
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	if !cache.WaitForCacheSync(ctx.Done(), claims.HasSynced) {
		return nil
	}
	stop := context.AfterFunc(ctx, queue.ShutDown)
	defer stop()
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		for {
			key, shutdown := queue.Get()
			if shutdown {
				return
			}
			if err := growOne(ctx, client, claims.GetStore(), key); err != nil {
				klog.ErrorS(err, "Growing a volume", "claim", key)
				queue.AddRateLimited(key)
			} else {
				queue.Forget(key)
			}
			queue.Done(key)
		}
	}, time.Second)
	return nil
}

// growOne grows the volume first, so that a break in between is made up for by the next turn.
func growOne(ctx context.Context, client kubernetes.Interface, store cache.Store, key string) error {
	object, found, err := store.GetByKey(key)
	if err != nil || !found {
		return err
	}
	claim := object.(*corev1.PersistentVolumeClaim).DeepCopy()
	if !needsGrowth(claim) {
		return nil
	}
	volume, err := client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	// The storage driver's volumes are folders too.
	if by := volume.Annotations[provisionedBy]; by != Provisioner && by != csi.DriverName {
		return nil
	}
	size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	volume.Spec.Capacity[corev1.ResourceStorage] = size
	if _, err := client.CoreV1().PersistentVolumes().Update(ctx, volume, metav1.UpdateOptions{}); err != nil {
		return err
	}
	claim.Status.Capacity[corev1.ResourceStorage] = size
	claim.Status.Conditions, claim.Status.AllocatedResources, claim.Status.AllocatedResourceStatuses = nil, nil, nil
	_, err = client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, claim, metav1.UpdateOptions{})
	return err
}

var _ controller.Provisioner = (*folders)(nil)
