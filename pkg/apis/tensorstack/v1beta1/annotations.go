package v1beta1

// AnnotationLoginUser is the user of the guest that whoever makes a machine means people to log in as. "kubectl vs ssh NAME" takes it.
// The product does nothing with it.
const AnnotationLoginUser = GroupName + "/login-user"
