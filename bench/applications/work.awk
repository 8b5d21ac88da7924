# Word frequencies and a little arithmetic.
{
  for (i = 1; i <= NF; i++) count[$i]++
  length_sum += length($0)
  if ($2 ~ /^[a-m].*e/) matched++
  split($0, parts, "e")
  if (substr($3, 2, 1) > "m") tail = tolower(substr($0, 5, 9)) tail
  tail = substr(tail, 1, 60)
}
END {
  for (word in count) { sum += count[word] * length(word); if (count[word] > most) most = count[word] }
  for (i = 1; i <= 20000; i++) value = (value * 1.000001 + i) % 1000003
  print length_sum, matched, sum, most, tail, int(value)
}
