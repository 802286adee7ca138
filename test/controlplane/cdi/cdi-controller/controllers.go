package main

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"kubevirt.io/containerized-data-importer/pkg/apiserver"
	"kubevirt.io/containerized-data-importer/pkg/common"
	"kubevirt.io/containerized-data-importer/pkg/controller"
	"kubevirt.io/containerized-data-importer/pkg/controller/datavolume"
	"kubevirt.io/containerized-data-importer/pkg/controller/populators"
	"kubevirt.io/containerized-data-importer/pkg/controller/transfer"
	"kubevirt.io/containerized-data-importer/pkg/keys"
	metrics "kubevirt.io/containerized-data-importer/pkg/monitoring/metrics/cdi-controller"
	"kubevirt.io/containerized-data-importer/pkg/util"
	"kubevirt.io/containerized-data-importer/pkg/util/cert"
	"kubevirt.io/containerized-data-importer/pkg/util/cert/fetcher"
	"kubevirt.io/containerized-data-importer/pkg/util/cert/generator"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// The certificates of uploads: the directories below --certs-dir and the
// ConfigMaps with their bundles, as CDI's operator names them.
const (
	uploadServerSigner = "cdi-uploadserver-signer"
	uploadClientSigner = "cdi-uploadserver-client-signer"
	bundleSuffix       = "-bundle"
)

// addControllers registers every controller that CDI's own command runs.
func addControllers(ctx context.Context, m manager.Manager, config *rest.Config, opts options) error {
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	if err := metrics.SetupMetrics(); err != nil {
		return fmt.Errorf("register the metrics: %w", err)
	}
	key, err := signingKey(ctx, kube, util.GetNamespace())
	if err != nil {
		return err
	}
	return errors.Join(
		addSettings(m, opts),
		addDataVolumes(ctx, m, key, opts),
		addWorkers(m, kube, key, opts),
		addPopulators(ctx, m, key, opts),
	)
}

// added names the controller that could not be set up. The constructors return
// a controller too, which the manager owns already.
func added(name string) func(any, error) error {
	return func(_ any, err error) error {
		if err != nil {
			return fmt.Errorf("set up the %s controller: %w", name, err)
		}
		return nil
	}
}

// signingKey reads the key that signs CDI's tokens. cdi-apiserver makes it; a
// pod of cdi-controller waits for it in the same way, by mounting the Secret.
func signingKey(ctx context.Context, kube kubernetes.Interface, namespace string) (*rsa.PrivateKey, error) {
	var secret *corev1.Secret
	err := wait.PollUntilContextCancel(ctx, 250*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		found, err := kube.CoreV1().Secrets(namespace).Get(ctx, apiserver.APISigningKeySecretName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			klog.V(2).InfoS("waiting for cdi-apiserver to make its signing key", "secret", apiserver.APISigningKeySecretName)
			return false, nil
		}
		secret = found
		return err == nil, err
	})
	if err != nil {
		return nil, fmt.Errorf("read Secret %s/%s, which cdi-apiserver makes: %w", namespace, apiserver.APISigningKeySecretName, err)
	}
	parsed, err := cert.ParsePrivateKeyPEM(secret.Data[keys.KeyStorePrivateKeyFile])
	if err != nil {
		return nil, fmt.Errorf("decode %s in Secret %s/%s: %w", keys.KeyStorePrivateKeyFile, namespace, secret.Name, err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the key in Secret %s/%s is not an RSA key", namespace, secret.Name)
	}
	return key, nil
}

// addSettings adds what derives CDI's configuration from the cluster.
func addSettings(m manager.Manager, opts options) error {
	logger, labels := log.Log, map[string]string{}
	return errors.Join(
		added("config")(controller.NewConfigController(m, logger, opts.uploadProxy, common.ConfigName, labels)),
		added("storage profile")(controller.NewStorageProfileController(m, logger, labels)),
	)
}

// addDataVolumes adds what turns a DataVolume into a claim.
func addDataVolumes(ctx context.Context, m manager.Manager, key *rsa.PrivateKey, opts options) error {
	logger, labels := log.Log, map[string]string{}
	if err := datavolume.CreateCommonIndexes(m); err != nil {
		return fmt.Errorf("index the DataVolumes: %w", err)
	}
	return errors.Join(
		added("DataVolume import")(datavolume.NewImportController(ctx, m, logger, labels)),
		added("DataVolume upload")(datavolume.NewUploadController(ctx, m, logger, labels)),
		added("DataVolume clone")(datavolume.NewPvcCloneController(ctx, m, logger,
			opts.clonerImage, opts.importerImage, opts.pullPolicy, &key.PublicKey, key, labels)),
		added("DataVolume snapshot clone")(datavolume.NewSnapshotCloneController(ctx, m, logger,
			opts.clonerImage, opts.importerImage, opts.pullPolicy, &key.PublicKey, key, labels)),
		added("DataVolume population")(datavolume.NewPopulatorController(ctx, m, logger, labels)),
	)
}

// addWorkers adds what makes and watches the pods that fill a claim.
func addWorkers(m manager.Manager, kube kubernetes.Interface, key *rsa.PrivateKey, opts options) error {
	logger, labels := log.Log, map[string]string{}
	configMaps := kube.CoreV1().ConfigMaps(util.GetNamespace())
	signer := func(name string) *generator.FetchCertGenerator {
		return &generator.FetchCertGenerator{Fetcher: &fetcher.FileCertFetcher{
			KeyFileName:  filepath.Join(opts.certsDir, name, corev1.TLSPrivateKeyKey),
			CertFileName: filepath.Join(opts.certsDir, name, corev1.TLSCertKey),
		}}
	}
	bundle := func(name string) *fetcher.ConfigMapCertBundleFetcher {
		return &fetcher.ConfigMapCertBundleFetcher{Name: name + bundleSuffix, Client: configMaps}
	}
	return errors.Join(
		added("import")(controller.NewImportController(m, logger, opts.importerImage, opts.pullPolicy, opts.importerLogLevel, labels)),
		added("clone")(controller.NewCloneController(m, logger, opts.clonerImage, opts.pullPolicy, opts.importerLogLevel,
			signer(uploadClientSigner), bundle(uploadServerSigner), &key.PublicKey, labels)),
		added("upload")(controller.NewUploadController(m, logger, opts.uploadImage, opts.pullPolicy, opts.importerLogLevel,
			signer(uploadServerSigner), bundle(uploadClientSigner), labels)),
		added("transfer")(transfer.NewObjectTransferController(m, logger, labels)),
		added("DataImportCron")(controller.NewDataImportCronController(m, logger, opts.importerImage, opts.pullPolicy, labels)),
		added("DataSource")(controller.NewDataSourceController(m, logger, labels)),
	)
}

// addPopulators adds what fills claims of drivers that support populators.
func addPopulators(ctx context.Context, m manager.Manager, key *rsa.PrivateKey, opts options) error {
	logger, labels := log.Log, map[string]string{}
	if err := populators.CreateCommonPopulatorIndexes(m); err != nil {
		return fmt.Errorf("index the claims: %w", err)
	}
	return errors.Join(
		added("import populator")(populators.NewImportPopulator(ctx, m, logger, labels)),
		added("upload populator")(populators.NewUploadPopulator(ctx, m, logger, labels)),
		added("clone populator")(populators.NewClonePopulator(ctx, m, logger, opts.clonerImage, opts.pullPolicy, labels, &key.PublicKey)),
		added("forklift populator")(populators.NewForkliftPopulator(ctx, m, logger, opts.importerImage, opts.ovirtImage, labels)),
	)
}
