package disk

import (
	"context"
	"fmt"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	snapshotclient "github.com/kubernetes-csi/external-snapshotter/client/v8/clientset/versioned"
	snapshotinformers "github.com/kubernetes-csi/external-snapshotter/client/v8/informers/externalversions"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"tensorstack.dev/virtualserver/test/nodeagent/cluster"
	"tensorstack.dev/virtualserver/test/nodeagent/loop"
)

// Snapshots makes snapshots of the agent's disks ready, as a snapshot controller and its driver would. A snapshot that names
// a content, or whose status somebody else has written, is left alone.
type Snapshots struct {
	cluster *cluster.Cluster
	client  snapshotclient.Interface
	factory snapshotinformers.SharedInformerFactory
	loop    *loop.Loop
}

// NewSnapshots returns the stand-in for the snapshot controller.
func NewSnapshots(c *cluster.Cluster, config *rest.Config) (*Snapshots, error) {
	client, err := snapshotclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("building the client for snapshots: %w", err)
	}
	s := &Snapshots{cluster: c, client: client, factory: snapshotinformers.NewSharedInformerFactory(client, 0)}
	s.loop = loop.New("snapshots", s.reconcile)
	if _, err := s.factory.Snapshot().V1().VolumeSnapshots().Informer().AddEventHandler(s.loop.Handler()); err != nil {
		return nil, fmt.Errorf("watching snapshots: %w", err)
	}
	return s, nil
}

// Run makes snapshots ready until the context ends.
func (s *Snapshots) Run(ctx context.Context) {
	s.factory.Start(ctx.Done())
	s.loop.Run(ctx, 1)
	s.factory.Shutdown()
}

func (s *Snapshots) reconcile(ctx context.Context, key string) (time.Duration, error) {
	object, found, err := s.factory.Snapshot().V1().VolumeSnapshots().Informer().GetStore().GetByKey(key)
	if err != nil {
		return 0, err
	}
	if !found {
		return 0, s.removeContents(ctx, key)
	}
	snapshot := object.(*snapshotv1.VolumeSnapshot)
	source := snapshot.Spec.Source.PersistentVolumeClaimName
	if snapshot.DeletionTimestamp != nil || snapshot.Status != nil || source == nil || snapshot.Spec.VolumeSnapshotClassName == nil {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, cluster.RequestTimeout)
	defer cancel()
	class, err := s.client.SnapshotV1().VolumeSnapshotClasses().Get(ctx, *snapshot.Spec.VolumeSnapshotClassName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && class.Driver != Provisioner {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	claim, err := s.cluster.Factory.Core().V1().PersistentVolumeClaims().Lister().PersistentVolumeClaims(snapshot.Namespace).Get(*source)
	if apierrors.IsNotFound(err) || err == nil && claim.Status.Phase != corev1.ClaimBound {
		return time.Second, nil
	}
	if err != nil {
		return 0, err
	}
	return 0, s.finish(ctx, snapshot, claim)
}

// removeContents removes what was made for a snapshot that is gone.
func (s *Snapshots) removeContents(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, cluster.RequestTimeout)
	defer cancel()
	contents, err := s.client.SnapshotV1().VolumeSnapshotContents().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range contents.Items {
		content := &contents.Items[i]
		of := content.Spec.VolumeSnapshotRef
		if content.Name != "snapcontent-"+string(of.UID) || content.Spec.Driver != Provisioner || of.Namespace+"/"+of.Name != key {
			continue
		}
		err := s.client.SnapshotV1().VolumeSnapshotContents().Delete(ctx, content.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &content.UID},
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// finish makes the content of a snapshot, and then says that the snapshot is ready.
func (s *Snapshots) finish(ctx context.Context, snapshot *snapshotv1.VolumeSnapshot, claim *corev1.PersistentVolumeClaim) error {
	size, now := claim.Status.Capacity[corev1.ResourceStorage], metav1.Now()
	content, err := s.client.SnapshotV1().VolumeSnapshotContents().Create(ctx, &snapshotv1.VolumeSnapshotContent{
		ObjectMeta: metav1.ObjectMeta{Name: "snapcontent-" + string(snapshot.UID)},
		Spec: snapshotv1.VolumeSnapshotContentSpec{
			Driver: Provisioner, DeletionPolicy: snapshotv1.VolumeSnapshotContentDelete,
			VolumeSnapshotClassName: snapshot.Spec.VolumeSnapshotClassName,
			Source:                  snapshotv1.VolumeSnapshotContentSource{VolumeHandle: ptr.To(string(claim.UID))},
			VolumeSnapshotRef: corev1.ObjectReference{
				APIVersion: snapshotv1.SchemeGroupVersion.String(), Kind: "VolumeSnapshot",
				Namespace: snapshot.Namespace, Name: snapshot.Name, UID: snapshot.UID,
			},
		},
	}, metav1.CreateOptions{})
	switch {
	case apierrors.IsAlreadyExists(err):
	case err != nil:
		return fmt.Errorf("content of snapshot %s/%s: %w", snapshot.Namespace, snapshot.Name, err)
	default:
		content.Status = &snapshotv1.VolumeSnapshotContentStatus{
			SnapshotHandle: ptr.To(string(snapshot.UID)), ReadyToUse: ptr.To(true), RestoreSize: ptr.To(size.Value()),
		}
		if _, err := s.client.SnapshotV1().VolumeSnapshotContents().UpdateStatus(ctx, content, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("content of snapshot %s/%s: %w", snapshot.Namespace, snapshot.Name, err)
		}
	}
	ready := snapshot.DeepCopy()
	ready.Status = &snapshotv1.VolumeSnapshotStatus{
		BoundVolumeSnapshotContentName: ptr.To("snapcontent-" + string(snapshot.UID)),
		CreationTime:                   &now, ReadyToUse: ptr.To(true), RestoreSize: &size,
	}
	_, err = s.client.SnapshotV1().VolumeSnapshots(snapshot.Namespace).UpdateStatus(ctx, ready, metav1.UpdateOptions{})
	return err
}
