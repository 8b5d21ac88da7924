#include "cli/memory_option.h"

#include <array>
#include <bit>
#include <span>
#include <utility>

#include "base/number_list.h"
#include "cli/option_value.h"
#include "cli/value_keys.h"
#include "machine/host_memory.h"

namespace mynah {
namespace {

Result<uint64_t> parse_size(std::string_view text) {
    const uint64_t bytes = TRY(parse_memory_size(text));
    if (bytes < MachineConfig::kMinMemory || bytes > MachineConfig::kMaxMemory ||
        bytes % kMebibyte != 0) {
        return Error("expected whole MiB from 16M to 1T");
    }
    return bytes;
}

// Whether the host has such pages is checked when the machine is made.
Result<uint64_t> parse_huge_page(std::string_view text) {
    if (const auto wanted = parse_switch(text)) {
        if (!wanted.value()) return uint64_t{0};
        const uint64_t usual = usual_huge_page(HostFiles());
        if (usual == 0) return Error("this host's kernel has no huge pages");
        return usual;
    }
    const auto bytes = parse_memory_size(text);
    if (!bytes || bytes.value() < kMebibyte || !std::has_single_bit(bytes.value()))
        return Error("expected on, off, 2M or 1G");
    return bytes;
}

Result<MemoryBacking::Policy> parse_policy(std::string_view text) {
    using enum MemoryBacking::Policy;
    constexpr std::array<std::pair<std::string_view, MemoryBacking::Policy>, 3> kPolicies{
        {{"bind", kBind}, {"interleave", kInterleave}, {"preferred", kPreferred}}};
    for (const auto& [name, policy] : kPolicies)
        if (text == name) return policy;
    return Error("expected bind, interleave or preferred");
}

}  // namespace

Result<void> apply_memory_option(RunOptions& options, std::string_view value) {
    constexpr uint32_t kMostNodes = 1024;  // more than any Linux has [CONFIG_NODES_SHIFT]
    const std::vector<ValuePart> parts = split_value(value);
    const bool bare = parts.front().key.empty();
    uint64_t bytes = options.machine.memory_bytes;
    if (bare) bytes = TRY(parse_size(parts.front().value));
    bool policy_given = false;
    MemoryBacking backing;
    const ValueKey keys[] = {
        {"size",
         [&](const std::string& text) -> Result<void> {
             bytes = TRY(parse_size(text));
             return {};
         }},
        {"hugepages",
         [&](const std::string& text) -> Result<void> {
             backing.huge_page = TRY(parse_huge_page(text));
             return {};
         }},
        switch_key("prealloc", backing.preallocate),
        {"host-nodes",
         [&](const std::string& text) -> Result<void> {
             auto nodes = parse_number_list(text, '+', kMostNodes);
             if (!nodes) return Error("expected numbers of memory nodes, such as 0, 0-1 or 0+2");
             backing.nodes = std::move(*nodes);
             return {};
         }},
        {"policy",
         [&](const std::string& text) -> Result<void> {
             backing.policy = TRY(parse_policy(text));
             policy_given = true;
             return {};
         }},
    };
    TRY(apply_value_keys(std::span(parts).subspan(bare ? 1 : 0), keys));
    if (policy_given && backing.nodes.empty())
        return Error("policy= says how host-nodes= are used, which is missing");
    if (backing.huge_page != 0 && bytes % backing.huge_page != 0) {
        return Error(fmt::format("{} MiB are not whole huge pages of {} MiB", bytes >> 20,
                                 backing.huge_page >> 20));
    }
    options.machine.memory_bytes = bytes;
    options.machine.memory_backing = std::move(backing);
    return {};
}

}  // namespace mynah
