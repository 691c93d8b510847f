package main

import (
	"slices"
	"testing"
)

func TestAMountIsAPrefixAndAnApp(t *testing.T) {
	for in, want := range map[string]mount{
		"/api=api:app": {"/api", "api:app"}, "/api/=api:app": {"/api", "api:app"}, "/=site": {"", "site"},
		"/a/b=x:make()": {"/a/b", "x:make()"}, "/q=dir=1/app.wsgi": {"/q", "dir=1/app.wsgi"}, "/café=c": {"/café", "c"},
	} {
		var got mount
		if err := got.UnmarshalText([]byte(in)); err != nil || got != want {
			t.Errorf("%q: got %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "api", "/api", "/api=", "api=app", "=app", "//a=app", "/a//b=app", "/a?b=app"} {
		var got mount
		if err := got.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q was taken for %+v", in, got)
		}
	}
}

func TestTheAppIsMountedUnderEveryOtherPath(t *testing.T) {
	api := mount{"/api", "api:app"}
	for _, c := range []struct {
		app    string
		mounts []mount
		want   []mount
	}{
		{"site", nil, []mount{{"", "site"}}},
		{"site", []mount{api}, []mount{{"", "site"}, api}},
		{"", []mount{api}, []mount{api}},
		{"", nil, nil},
	} {
		got, err := allMounts(c.app, c.mounts)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q %v: got %v, %v", c.app, c.mounts, got, err)
		}
	}
}

func TestTwoAppsAtOnePrefixAreAUsageError(t *testing.T) {
	for _, c := range []struct {
		app    string
		mounts []mount
	}{
		{"site", []mount{{"", "other"}}},
		{"", []mount{{"/api", "a"}, {"/api", "b"}}},
	} {
		_, err := allMounts(c.app, c.mounts)
		if code, _ := exitCode(err); code != exitUsage {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
