package validation

import (
	"strings"

	// The reference parser hands digests to these, which it does not import itself.
	_ "crypto/sha256"
	_ "crypto/sha512"

	"github.com/distribution/reference"
	"k8s.io/apimachinery/pkg/util/validation/field"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

const (
	// maxImageReference is the longest reference to a container image.
	maxImageReference = 1024
	imageExample      = "registry.example.com/images/fedora:40"
)

// validateImage accepts what kubelet accepts as the image of a container, read by the same parser.
func validateImage(image string, path *field.Path) field.ErrorList {
	if image == "" {
		return field.ErrorList{field.Required(path, "name a container image, such as "+imageExample)}
	}
	if len(image) > maxImageReference {
		return field.ErrorList{field.TooLong(path, "", maxImageReference)}
	}
	if _, problem := parseImage(image); problem != "" {
		return field.ErrorList{field.Invalid(path, image, problem)}
	}
	return nil
}

// parseImage returns a reference to a container image, or what is wrong with it and an example.
func parseImage(image string) (reference.Named, string) {
	const advice = ": write it as " + imageExample + " or registry.example.com/images/fedora@sha256:DIGEST"
	if strings.Contains(image, "://") {
		return nil, "must be a reference to a container image without a scheme, such as " + imageExample
	}
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return nil, "must be a reference to a container image (" + imageProblem(image, err) + ")" + advice
	}
	host, port := splitPort(reference.Domain(named))
	if problem := hostProblem(host); problem != "" {
		return nil, "must name its registry properly (" + problem + ")" + advice
	}
	if problem := portProblem(port); problem != "" {
		return nil, "must name its registry properly (" + problem + ")" + advice
	}
	return named, ""
}

// imageProblem says more than the parser about the mistakes that it calls an invalid format.
func imageProblem(image string, err error) string {
	name, digest, digested := strings.Cut(image, "@")
	switch {
	case strings.ContainsAny(image, " \t\r\n"):
		return "there is a blank in it"
	case digested && digest == "":
		return "there is no digest after @"
	case digested && reference.DigestRegexp.FindString(digest) != digest:
		return "the digest after @ is not the name of an algorithm, a colon and a whole sum in hexadecimal"
	case strings.HasSuffix(name, ":"):
		return "there is no tag after the last colon"
	}
	return strings.TrimPrefix(err.Error(), "invalid reference format: ")
}

// splitPort splits the domain of a reference, which the parser has checked already. Without a port it is "".
func splitPort(domain string) (host, port string) {
	colon := strings.LastIndex(domain, ":")
	if colon < 0 || colon < strings.LastIndex(domain, "]") {
		return domain, ""
	}
	return domain[:colon], domain[colon+1:]
}

// validateRegistryURL checks the address of an image that becomes a disk. What follows docker:// is a reference to an image
// and not a URL, whatever the field is called. By the node, kubelet reads it; otherwise CDI's importer does, whose library
// cannot use a tag and a digest at once (containers/image, docker/docker_transport.go).
func validateRegistryURL(address string, byNode bool, path *field.Path) field.ErrorList {
	image, isImage := strings.CutPrefix(address, cdiv1.RegistrySchemeDocker+"://")
	if !isImage {
		return validateURL(address, path, cdiv1.RegistrySchemeDocker, cdiv1.RegistrySchemeOci)
	}
	if len(address) > maxURL {
		return field.ErrorList{field.TooLong(path, "", maxURL)}
	}
	if image == "" || strings.HasPrefix(image, "/") {
		return field.ErrorList{field.Invalid(path, address, "must name a host after docker://, such as docker://"+imageExample)}
	}
	if strings.Contains(image[:strings.Index(image+"/", "/")], "@") {
		// Do not repeat what may be a password.
		return field.ErrorList{field.Invalid(path, "", "must not hold a user name or password: name a Secret in secretRef")}
	}
	named, problem := parseImage(image)
	if problem != "" {
		return field.ErrorList{field.Invalid(path, address, problem)}
	}
	_, tagged := named.(reference.Tagged)
	_, digested := named.(reference.Digested)
	if tagged && digested && !byNode {
		return field.ErrorList{field.Invalid(path, address, "must have a tag or a digest and not both, which CDI's importer "+
			"cannot read: leave out the tag, or set pullMethod: node")}
	}
	return nil
}
