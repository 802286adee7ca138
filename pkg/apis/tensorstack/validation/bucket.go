package validation

import (
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateObjectURL checks the address of an object in a bucket. CDI's importer takes the first part of the path for the bucket
// and the rest for the object, of whatever store, and of gs:// the host for the bucket (extractBucketAndObject and its
// siblings in CDI's pkg/importer). An address without both would be asked for in vain, for ever.
func validateObjectURL(address string, path *field.Path, schemes ...string) field.ErrorList {
	if bucket, found := strings.CutPrefix(address, "s3://"); found {
		return field.ErrorList{field.Invalid(path, "s3://"+redactedPath(bucket), "must begin with https:// or http://: write https://s3.REGION.amazonaws.com/"+
			"BUCKET/OBJECT, or the address of your own store in place of Amazon's")}
	}
	if errs := validateURL(address, path, schemes...); len(errs) > 0 {
		return errs
	}
	parsed, err := url.Parse(address)
	if err != nil {
		return field.ErrorList{field.Invalid(path, "", "is not a URL")}
	}
	bucket, object := parsed.Host, parsed.Path
	form := parsed.Scheme + "://BUCKET/OBJECT"
	if parsed.Scheme != "gs" {
		bucket, object, _ = strings.Cut(strings.TrimPrefix(parsed.Path, "/"), "/")
		form = parsed.Scheme + "://" + parsed.Host + "/BUCKET/OBJECT"
	}
	if object = strings.TrimPrefix(object, "/"); bucket == "" || object == "" || strings.HasSuffix(object, "/") {
		return field.ErrorList{field.Invalid(path, parsed.Redacted(), "must name a bucket and an object in it: write it as "+form)}
	}
	return nil
}

// redactedPath leaves out what may be a credential.
func redactedPath(address string) string {
	address, _, _ = strings.Cut(address, "?")
	return address[strings.LastIndex(address, "@")+1:]
}
