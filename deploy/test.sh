#!/bin/sh
# Send pictures to a running server, and check its answers.
# Usage: deploy/test.sh URL IMAGE...
# Exit code: 0 if every picture got seven scores that sum to 1 (or 100); 1 if not; 2 for wrong usage.
set -eu
export LC_ALL=C # in some languages awk would expect a comma in numbers

if [ $# -lt 2 ]; then
  echo "usage: $0 URL IMAGE..." >&2
  exit 2
fi
url=${1%/}
shift
failed=0
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

# Prints the top emotion and its percentage if the answer is right, and fails otherwise. The keys
# are seven words and the values numbers, so this needs no JSON tool.
check() {
  tr -d '{}" \n' <"$answer" | tr ',' '\n' | awk -F: '
    BEGIN { split("angry disgust fear happy neutral sad surprise", names, " ")
            for (i in names) wanted[names[i]] = 1 }
    !($1 in wanted) || $2 !~ /^[0-9.]+(e-?[0-9]+)?$/ { wrong = 1 }
    { delete wanted[$1]; sum += $2; if ($2 + 0 > best) { best = $2 + 0; name = $1 } }
    END { left = 0; for (one in wanted) left++
          total = sum > 2 ? 100 : 1
          if (wrong || left || NR != 7 || sum < 0.999 * total || sum > 1.001 * total) exit 1
          printf "%s %.1f %%", name, 100 * best / total }'
}

for image in "$@"; do
  if [ ! -r "$image" ]; then
    echo "$image: it cannot be read: check the name" >&2
    failed=1
    continue
  fi
  # The file is read from standard input, as curl takes commas and semicolons in a name for separators.
  if ! code=$(curl --silent --show-error --max-time 60 --output "$answer" --write-out '%{http_code}' \
    --form 'file=@-;filename=picture' "$url/predict" <"$image"); then
    echo "$image: no answer from $url" >&2
    failed=1
  elif [ "$code" != 200 ]; then
    echo "$image: $code $(cat "$answer")" >&2
    failed=1
  elif result=$(check); then
    echo "$image: $result $(cat "$answer")"
  else
    echo "$image: these are not seven scores that sum to 1 or 100: $(cat "$answer")" >&2
    failed=1
  fi
done
exit $failed
