import re

from django import forms

from . import pictures
from .models import Entry


class EntryForm(forms.ModelForm):
    class Meta:
        model = Entry
        fields = ["name", "message", "picture"]
        widgets = {
            "name": forms.TextInput(attrs={"autocomplete": "name"}),
            "message": forms.Textarea(attrs={"rows": 3}),
            "picture": forms.FileInput(attrs={"accept": "image/png,image/jpeg,image/gif,image/webp"}),
        }

    def clean_picture(self):
        picture = self.cleaned_data["picture"]
        if not picture:
            return picture
        if picture.size > pictures.MAX_SIZE:
            raise forms.ValidationError("The picture is over 5 MiB.")
        kind = pictures.kind_of(picture)
        if kind is None:
            raise forms.ValidationError("This is not a PNG, JPEG, GIF or WebP picture.")
        # Django has cut the name down to its last part; what is left is shown, never used as a path.
        self.instance.picture_name = re.sub(r"[^\w .()-]", "_", picture.name).strip()[:100]
        picture.name = f"picture.{kind}"
        return picture
