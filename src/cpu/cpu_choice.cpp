#include "cpu/cpu_choice.h"

#include <cpuid.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <numeric>
#include <optional>
#include <vector>

namespace mynah {
namespace {

// Operations that turn one name into the other, to suggest what was meant.
size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 1; i <= a.size(); ++i) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            const bool same = std::tolower(static_cast<unsigned char>(a[i - 1])) ==
                              std::tolower(static_cast<unsigned char>(b[j - 1]));
            const size_t replaced = diagonal + (same ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
        }
    }
    return row[b.size()];
}

template <typename Named>
std::string_view nearest(std::string_view name, std::span<const Named> candidates) {
    return std::ranges::min_element(
               candidates, {},
               [name](const Named& candidate) { return edit_distance(name, candidate.name); })
        ->name;
}

// What was said of features, in its order: the last word on one counts.
struct Changes {
    FeatureSet added{}, removed{};
    bool enforce = false;
};

const char* in_the_way(const Feature& feature) {
    return feature.needs == FeatureNeeds::kHost ? "this host's processor does not have it"
                                                : "the engine does not implement it";
}

Result<void> change(Changes& changes, std::string_view name, bool add) {
    const Feature* const feature = find_feature(name);
    if (feature == nullptr) {
        return Error(fmt::format("--cpu: unknown feature '{}'; did you mean '{}'?", name,
                                 nearest(name, known_features())));
    }
    if (add && !can_be_had(*feature)) {
        return Error(fmt::format("--cpu: feature '{}' cannot be had: {}", feature->name,
                                 in_the_way(*feature)));
    }
    insert(add ? changes.added : changes.removed, *feature);
    remove(add ? changes.removed : changes.added, *feature);
    return {};
}

Result<void> parse_change(Changes& changes, std::string_view text) {
    if (text == "check") return {};  // which is always done
    if (text == "enforce") {
        changes.enforce = true;
        return {};
    }
    if (text.size() >= 2 && (text[0] == '+' || text[0] == '-'))
        return change(changes, text.substr(1), text[0] == '+');
    const size_t equals = text.find('=');
    if (equals != text.npos) {
        const std::string_view value = text.substr(equals + 1);
        if (value == "on" || value == "off")
            return change(changes, text.substr(0, equals), value == "on");
    }
    return Error(
        fmt::format("--cpu: '{}' is not +feature, -feature, feature=on, feature=off, check "
                    "or enforce",
                    text));
}

FeatureSet without(const FeatureSet& set, const FeatureSet& removed) {
    FeatureSet rest;
    for (size_t i = 0; i < set.size(); ++i) rest[i] = set[i] & ~removed[i];
    return rest;
}

void keep_what_can_be_had(FeatureSet& set) {
    for (const Feature& feature : known_features())
        if (!can_be_had(feature)) remove(set, feature);
}

// Demands must hold in the end.
Result<void> check_demands(const FeatureSet& set, const FeatureSet& added) {
    for (const Feature& feature : known_features()) {
        if (!contains(added, feature) || contains(set, feature)) continue;
        return Error(fmt::format(
            "--cpu: feature '{}' needs another one that this processor model lacks", feature.name));
    }
    return {};
}

// As guests choose their ways by the processor's signature; what another vendor's numbers mean is
// not for one that says it is Intel's.
void take_host_identity(CpuChoice& choice) {
    uint32_t a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(0, &a, &b, &c, &d) == 0 || b != signature_INTEL_ebx) return;
    __get_cpuid(1, &choice.signature, &b, &c, &d);
    uint32_t brand[12] = {};
    for (uint32_t i = 0; i < 3; ++i) {
        uint32_t* const part = &brand[4 * i];
        if (__get_cpuid(0x80000002 + i, part, part + 1, part + 2, part + 3) == 0) return;
    }
    const char* const text = reinterpret_cast<const char*>(brand);
    choice.brand.assign(text, strnlen(text, sizeof brand));
}

std::string named(const FeatureSet& set, bool host) {
    std::string names;
    for (const Feature& feature : known_features()) {
        if (!contains(set, feature) || (feature.needs == FeatureNeeds::kHost) != host) continue;
        names += fmt::format("{}{}", names.empty() ? "" : ", ", feature.name);
    }
    return names;
}

}  // namespace

std::string who_lacks(const FeatureSet& lacking) {
    const std::string host = named(lacking, true), engine = named(lacking, false);
    std::string text;
    if (!host.empty()) text = fmt::format("{} (this host's processor does not have them)", host);
    if (!engine.empty()) {
        text += fmt::format("{}{} (the engine does not implement them)", text.empty() ? "" : "; ",
                            engine);
    }
    return text;
}

Result<CpuChoice> choose_cpu(std::string_view text) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view name = text.substr(0, comma);
    const std::optional<CpuModel> model = find_model(name);
    if (!model) {
        return Error(fmt::format("--cpu: unknown model '{}'; did you mean '{}'?", name,
                                 nearest(name, known_models())));
    }
    Changes changes;
    for (std::string_view rest = text.substr(std::min(comma + 1, text.size())); !rest.empty();) {
        const size_t end = std::min(rest.find(','), rest.size());
        TRY(parse_change(changes, rest.substr(0, end)));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    const FeatureSet wanted = without(features_of(*model), changes.removed);
    CpuChoice choice{.brand = fmt::format("Mynah Virtual CPU ({})", name),
                     .signature = model->signature,
                     .features = wanted};
    choice.by_name = model->features != "*";
    if (model->name == "host") take_host_identity(choice);
    for (size_t i = 0; i < wanted.size(); ++i) choice.features[i] |= changes.added[i];
    keep_what_can_be_had(choice.features);
    remove_unfounded(choice.features);
    TRY(check_demands(choice.features, changes.added));
    // What goes with a feature that was taken away is not missed.
    FeatureSet whole = wanted;
    remove_unfounded(whole);
    choice.lacking = without(whole, choice.features);
    const std::string lacks = who_lacks(choice.lacking);
    if (changes.enforce && !lacks.empty())
        return Error(fmt::format("--cpu: {} lacks {}; enforce asks for all of it", name, lacks));
    choice.demanded = changes.enforce ? choice.features : changes.added;
    return choice;
}

}  // namespace mynah
