#include "backend/vhost/vhost_user_client.h"

#include <fmt/core.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "backend/network/unix_address.h"

namespace mynah {

using namespace vhost_user;

Result<std::unique_ptr<VhostUserClient>> VhostUserClient::connect(const std::string& path,
                                                                  uint64_t wanted) {
    auto socket = connect_unix_socket(path, SOCK_STREAM, "");
    // The message begins with the path, behind an origin that the caller puts there.
    if (!socket) return Error(socket.error().message().substr(std::strlen(": ")));
    auto client = adopt(socket.take_value(), wanted);
    Result<void> ready;
    if (client) ready = client.value()->open_back_end_channel();
    if (!client || !ready) {
        return Error(fmt::format("{}: no vhost-user back end: {}", path,
                                 (client ? ready.error() : client.error()).message()));
    }
    return client;
}

Result<std::unique_ptr<VhostUserClient>> VhostUserClient::adopt(Fd socket, uint64_t wanted) {
    std::unique_ptr<VhostUserClient> client(new VhostUserClient(std::move(socket)));
    TRY(client->agree(wanted));
    return client;
}

void VhostUserClient::shut() { ::shutdown(socket_.get(), SHUT_RDWR); }

Result<void> VhostUserClient::agree(uint64_t wanted) {
    features_ = TRY(ask_value(Request::kGetFeatures));
    if ((features_ & kFeatureProtocol) != 0) {
        const uint64_t offered = TRY(ask_value(Request::kGetProtocolFeatures));
        // Acknowledgements from the next message on.
        const uint64_t agreed = offered & (wanted | kProtocolReplyAck | kProtocolLogShmfd |
                                           kProtocolConfigureMemSlots | kProtocolStatus);
        TRY(tell_value(Request::kSetProtocolFeatures, agreed));
        protocol_ = agreed;
    }
    if (has(kProtocolMq)) queue_limit_ = TRY(ask_value(Request::kGetQueueNum));
    return tell(Request::kSetOwner, {});
}

Result<void> VhostUserClient::tell(Request request, std::span<const std::byte> payload,
                                   std::span<const int> fds) {
    const bool acknowledged = has(kProtocolReplyAck);
    TRY(send_vhost_user(socket_.get(), static_cast<uint32_t>(request),
                        acknowledged ? kFlagNeedReply : 0, payload, fds, kPatienceMs));
    if (!acknowledged) return {};
    TRY(receive_vhost_user(socket_.get(), reply_, kPatienceMs));
    const auto status = reply_.as<uint64_t>();
    if (reply_.request != static_cast<uint32_t>(request) || !status)
        return Error(fmt::format("request {} was answered by something else",
                                 static_cast<uint32_t>(request)));
    if (*status != 0) {
        return Error(fmt::format("the back end refused request {} (status {})",
                                 static_cast<uint32_t>(request), *status));
    }
    return {};
}

Result<void> VhostUserClient::ask(Request request, std::span<const std::byte> payload) {
    TRY(send_vhost_user(socket_.get(), static_cast<uint32_t>(request), 0, payload, {},
                        kPatienceMs));
    TRY(receive_vhost_user(socket_.get(), reply_, kPatienceMs));
    if (reply_.request != static_cast<uint32_t>(request) || (reply_.flags & kFlagReply) == 0) {
        return Error(fmt::format("request {} was answered by something else",
                                 static_cast<uint32_t>(request)));
    }
    return {};
}

Result<uint64_t> VhostUserClient::ask_value(Request request) {
    TRY(ask(request, {}));
    const auto value = reply_.as<uint64_t>();
    if (!value)
        return Error(fmt::format("the answer to request {} has {} bytes; expected 8",
                                 static_cast<uint32_t>(request), reply_.size));
    return *value;
}

// Where the back end sends requests of its own.
Result<void> VhostUserClient::open_back_end_channel() {
    if (!has(kProtocolBackendReq)) return {};
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return Error(fmt::format("socketpair: {}", std::strerror(errno)));
    requests_ = Fd(pair[0]);
    const Fd theirs(pair[1]);
    const int fd = theirs.get();
    return tell(Request::kSetBackendReqFd, {}, {&fd, 1});
}

bool VhostUserClient::take_news() {
    // Not reply_: that belongs to the thread that asks.
    const auto message = std::make_unique<VhostUserMessage>();
    if (!receive_vhost_user(requests_.get(), *message, kNewsMs)) {
        requests_.reset();
        return false;
    }
    const bool known = message->request == static_cast<uint32_t>(BackendRequest::kConfigChange);
    // Answered before anything is asked of the back end, which may be waiting for this.
    if (message->needs_reply()) {
        const uint64_t status = known ? 0 : 1;
        (void)send_vhost_user(requests_.get(), message->request, kFlagReply,
                              std::as_bytes(std::span(&status, 1)), {}, kNewsMs);
    }
    return known;
}

Result<void> VhostUserClient::get_config(std::span<std::byte> to) {
    std::array<std::byte, sizeof(ConfigHeader) + kMaxConfig> bytes{};
    const auto size = static_cast<uint32_t>(std::min<size_t>(to.size(), kMaxConfig));
    const ConfigHeader header{0, size, 0};
    std::memcpy(bytes.data(), &header, sizeof header);
    TRY(ask(Request::kGetConfig, std::span(bytes).first(sizeof header + size)));
    // A back end that has no such configuration answers with no payload.
    const auto answered = reply_.front<ConfigHeader>();
    if (!answered || reply_.size != sizeof header + size)
        return Error("the back end has no configuration of this size");
    std::memcpy(to.data(), reply_.payload.data() + sizeof header, size);
    return {};
}

Result<void> VhostUserClient::set_config(uint32_t offset, std::span<const std::byte> from) {
    std::array<std::byte, sizeof(ConfigHeader) + kMaxConfig> bytes{};
    if (from.size() > kMaxConfig) return Error("configuration too long");
    const ConfigHeader header{offset, static_cast<uint32_t>(from.size()), 0};
    std::memcpy(bytes.data(), &header, sizeof header);
    std::memcpy(bytes.data() + sizeof header, from.data(), from.size());
    return tell(Request::kSetConfig, std::span(bytes).first(sizeof header + from.size()));
}

Result<void> VhostUserClient::set_features(uint64_t bits) {
    return tell_value(Request::kSetFeatures, bits | (features_ & kFeatureProtocol));
}

Result<void> VhostUserClient::set_memory(std::span<const VhostRegion> regions) {
    if (has(kProtocolConfigureMemSlots)) return add_slots(regions);
    MemoryTable table{};
    std::array<int, kMaxTableRegions> fds{};
    if (regions.size() > kMaxTableRegions) return Error("too many regions of memory");
    for (size_t i = 0; i < regions.size(); ++i) {
        const VhostRegion& region = regions[i];
        table.regions[i] = {region.address, region.size, reinterpret_cast<uint64_t>(region.host),
                            region.fd_offset};
        fds[i] = region.fd;
    }
    table.count = static_cast<uint32_t>(regions.size());
    const size_t size = kMemoryTableHeader + regions.size() * sizeof(MemoryRegion);
    return tell(Request::kSetMemTable, std::as_bytes(std::span(&table, 1)).first(size),
                std::span(fds).first(regions.size()));
}

// What the back end has already it keeps.
Result<void> VhostUserClient::add_slots(std::span<const VhostRegion> regions) {
    const auto same = [](const MemoryRegion& given, const VhostRegion& wanted) {
        return given.guest_address == wanted.address && given.size == wanted.size &&
               given.user_address == reinterpret_cast<uint64_t>(wanted.host) &&
               given.mmap_offset == wanted.fd_offset;
    };
    if (std::ranges::equal(slots_, regions, same)) return {};
    const uint64_t most = TRY(ask_value(Request::kGetMaxMemSlots));
    if (regions.size() > most)
        return Error(fmt::format("the back end has room for {} regions of memory", most));
    while (!slots_.empty()) {
        const SingleRegion slot{0, slots_.back()};
        slots_.pop_back();
        TRY(tell_value(Request::kRemMemReg, slot));
    }
    for (const VhostRegion& region : regions) {
        const MemoryRegion where{region.address, region.size,
                                 reinterpret_cast<uint64_t>(region.host), region.fd_offset};
        TRY(tell_value(Request::kAddMemReg, SingleRegion{0, where}, {&region.fd, 1}));
        slots_.push_back(where);
    }
    return {};
}

Result<void> VhostUserClient::set_log(const VhostLog& log) {
    const LogArea area = log.area();
    const int fd = log.fd();
    TRY(send_vhost_user(socket_.get(), static_cast<uint32_t>(Request::kSetLogBase), 0,
                        std::as_bytes(std::span(&area, 1)), {&fd, 1}, kPatienceMs));
    // Answered, whatever was agreed on about acknowledgements.
    TRY(receive_vhost_user(socket_.get(), reply_, kPatienceMs));
    if (reply_.request != static_cast<uint32_t>(Request::kSetLogBase))
        return Error("the back end takes no log of writes");
    return {};
}

Result<void> VhostUserClient::set_status(uint8_t status) {
    return tell_value(Request::kSetStatus, uint64_t{status});
}

Result<uint64_t> VhostUserClient::get_status() { return ask_value(Request::kGetStatus); }

Result<void> VhostUserClient::set_mtu(uint16_t mtu) {
    if (!has(kProtocolMtu)) return {};
    return tell_value(Request::kNetSetMtu, uint64_t{mtu});
}

Result<void> VhostUserClient::start_ring(uint16_t queue, const VhostRing& ring) {
    const auto address = [](const std::byte* at) { return reinterpret_cast<uint64_t>(at); };
    TRY(tell_value(Request::kSetVringNum, VringState{queue, ring.size}));
    TRY(tell_value(Request::kSetVringBase, VringState{queue, ring.base}));
    TRY(tell_value(Request::kSetVringAddr,
                   VringAddress{queue, 0, address(ring.descriptors), address(ring.used),
                                address(ring.available), 0}));
    // The bell comes last: a back end that has it may begin.
    TRY(tell_value(Request::kSetVringCall, uint64_t{queue}, {&ring.call, 1}));
    TRY(tell_value(Request::kSetVringKick, uint64_t{queue}, {&ring.kick, 1}));
    return {};
}

Result<void> VhostUserClient::enable_ring(uint16_t queue, bool on) {
    // Without protocol features rings are enabled when they are started ["Ring states"].
    if ((features_ & kFeatureProtocol) == 0) return {};
    return tell_value(Request::kSetVringEnable, VringState{queue, on ? 1u : 0u});
}

Result<void> VhostUserClient::stop_ring(uint16_t queue) {
    const VringState state{queue, 0};
    return ask(Request::kGetVringBase, std::as_bytes(std::span(&state, 1)));
}

Result<void> VhostUserClient::reset() {
    if (has_status()) return set_status(0);
    if (has(kProtocolResetDevice)) return tell(Request::kResetDevice, {});
    return {};
}

}  // namespace mynah
