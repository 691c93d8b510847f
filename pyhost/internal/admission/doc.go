// Package admission holds the policy by which Python threads are given requests: admission.h says what it is told and what it answers,
// admission.c why. It is plain C that package pyhost's C calls; Go drives it in this package's tests only, in virtual time.
package admission
