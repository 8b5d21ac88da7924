#include <fmt/core.h>

#include <optional>

#include "control/doctor/device_signs.h"
#include "control/doctor/serial_signs.h"

// What the frames say that passed the machine's networks [RFC 2131, RFC 826].
namespace mynah {
namespace {

using Counts = NetworkCounts::Values;

// A guest that boots needs so long until it uses its network.
constexpr uint64_t kPatience = 20;
// The first question for an address is answered within a moment; clients ask again after 4 s.
constexpr uint64_t kAnswerTime = 3;

std::string counts_of(const Counts& counts) {
    const char* const link = counts.link == NetworkCounts::kUp     ? "up"
                             : counts.link == NetworkCounts::kDown ? "down"
                                                                   : "unknown";
    return fmt::format(
        "link {}, lost {} times; {} frames sent by the guest, {} received\n"
        "DHCP: {} DISCOVER, {} REQUEST by the guest; {} OFFER, {} ACK, {} NAK to it\n"
        "ARP: {} questions by the guest, {} answers to it\n",
        link, counts.link_losses, counts.sent, counts.received, counts.discovers, counts.requests,
        counts.offers, counts.acks, counts.naks, counts.arp_questions, counts.arp_answers);
}

// What makes a link of this kind come up; places are "network 0 (tap=tap0)".
std::string link_remedy(const std::string& place) {
    const auto argument = [&place](std::string_view kind) -> std::string {
        const size_t at = place.find(kind);
        if (at == place.npos) return "";
        const size_t begin = at + kind.size();
        return place.substr(begin, place.rfind(')') - begin);
    };
    if (const std::string tap = argument("(tap="); !tap.empty())
        return fmt::format("sudo ip link set {} up", tap);
    if (const std::string bridge = argument("(bridge="); !bridge.empty())
        return fmt::format("sudo ip link set {} up", bridge);
    if (place.find("(stream listening") != place.npos) return "start the machine on the other side";
    if (place.find("(stream=") != place.npos || place.find("(switch=") != place.npos)
        return "the other side went away: start it again";
    if (place.find("(passt") != place.npos) return "passt ended: start the machine again";
    return "";
}

std::optional<Diagnosis> no_link(const std::string& place, const Counts& counts) {
    if (counts.link != NetworkCounts::kDown) return std::nullopt;
    const std::string remedy = link_remedy(place);
    return Diagnosis{"no-link",
                     fmt::format("{}: has no link: nobody is at the other end{}{}", place,
                                 remedy.empty() ? "" : "; ", remedy),
                     counts_of(counts)};
}

std::optional<Diagnosis> no_address(const std::string& place, const Counts& counts) {
    const uint32_t asked = counts.discovers + counts.requests;
    if (asked == 0 || counts.acks != 0) return std::nullopt;
    std::string why;
    if (counts.naks != 0)
        why = "a server refused the address that the guest asked for (NAK)";
    else if (counts.offers == 0)
        why = "nobody answered: there is no DHCP server on this network, or a firewall of the host "
              "drops the questions";
    else if (counts.requests == 0)
        why = "a server offered one, and the guest did not take it";
    else
        why = "a server offered one, and did not confirm it when the guest took it";
    return Diagnosis{"no-dhcp",
                     fmt::format("{}: the guest asked for an address by DHCP and got none: {}",
                                 place, why),
                     counts_of(counts)};
}

std::optional<Diagnosis> nobody_answers(const std::string& place, const Counts& counts) {
    constexpr uint32_t kEnough = 3;
    if (counts.arp_questions < kEnough || counts.received != 0) return std::nullopt;
    return Diagnosis{"no-answer",
                     fmt::format("{}: the guest asks for neighbours, and not one frame has come "
                                 "back: nobody is on this network, or its address is of another",
                                 place),
                     counts_of(counts)};
}

std::optional<Diagnosis> silent(const std::string& place, const Counts& counts) {
    if (counts.sent != 0) return std::nullopt;
    return Diagnosis{"network-unused",
                     fmt::format("{}: the guest has never sent a frame: its card has no driver, or "
                                 "its interface is not set up; in the guest: ip link, ip link set "
                                 "dev IFACE up",
                                 place),
                     counts_of(counts)};
}

}  // namespace

std::vector<Diagnosis> signs_of_networks(const RunRecord::Contents& record, MachineMoment moment) {
    std::vector<Diagnosis> found;
    if (!record.has_run) return found;
    const auto settled = [&](uint64_t seconds) {
        return !moment.running || moment.seconds >= seconds;
    };
    for (const auto& each : record.networks) {
        const std::string place = printable(each.place);
        std::optional<Diagnosis> diagnosis = no_link(place, each.values);
        if (!diagnosis && settled(kAnswerTime)) diagnosis = no_address(place, each.values);
        if (!diagnosis && settled(kAnswerTime)) diagnosis = nobody_answers(place, each.values);
        if (!diagnosis && settled(kPatience)) diagnosis = silent(place, each.values);
        if (diagnosis) found.push_back(std::move(*diagnosis));
    }
    return found;
}

}  // namespace mynah
