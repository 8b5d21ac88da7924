#include "backend/network/tap_network.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "backend/network/ethernet.h"
#include "backend/network/net_header.h"
#include "backend/network/segmentation.h"

namespace mynah {
namespace {

// TUN_F_USO4 and TUN_F_USO6, which headers before Linux 6.2 do not have.
constexpr unsigned kUso = 0x20 | 0x40;

Error tap_error(const std::string& origin, const char* what) {
    return Error(fmt::format("{}: {}: {}", origin, what, std::strerror(errno)));
}

}  // namespace

namespace {

// Opens the interface, or makes a new one: a name with %d gets a number. Its name is in `name` then.
Result<Fd> open_tap(std::string& name, const std::string& origin) {
    ifreq request{};
    if (name.empty() || name.size() >= sizeof request.ifr_name) {
        return Error(fmt::format("{}: expected the name of an interface, of 1 to {} characters",
                                 origin, sizeof request.ifr_name - 1));
    }
    Fd tap(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!tap.valid()) return tap_error(origin, "/dev/net/tun");
    name.copy(request.ifr_name, name.size());
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if (ioctl(tap.get(), TUNSETIFF, &request) != 0) return tap_error(origin, "TUNSETIFF");
    int header_size = sizeof(NetHeader);
    if (ioctl(tap.get(), TUNSETVNETHDRSZ, &header_size) != 0) {
        return tap_error(origin, "TUNSETVNETHDRSZ");
    }
    name = request.ifr_name;
    return tap;
}

}  // namespace

Result<std::unique_ptr<TapNetwork>> TapNetwork::open(const std::string& name,
                                                     const std::string& origin) {
    std::string interface = name;
    return over(TRY(open_tap(interface, origin)), origin);
}

Result<Fd> TapNetwork::descriptor(const std::string& name, const std::string& origin) {
    std::string interface = name;
    return open_tap(interface, origin);
}

Result<std::unique_ptr<TapNetwork>> TapNetwork::on_bridge(const std::string& bridge,
                                                          const std::string& origin) {
    ifreq request{};
    if (bridge.empty() || bridge.size() >= sizeof request.ifr_name ||
        if_nametoindex(bridge.c_str()) == 0) {
        return Error(fmt::format("{}: expected the name of a bridge of this host", origin));
    }
    std::string interface = "mynah%d";
    Fd tap = TRY(open_tap(interface, origin));
    const Fd control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    bridge.copy(request.ifr_name, bridge.size());
    request.ifr_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    if (ioctl(control.get(), SIOCBRADDIF, &request) != 0) {
        return errno == EOPNOTSUPP
                   ? Error(fmt::format("{}: the interface is no bridge", origin))
                   : tap_error(origin, "SIOCBRADDIF");
    }
    request = {};
    interface.copy(request.ifr_name, interface.size());
    if (ioctl(control.get(), SIOCGIFFLAGS, &request) != 0) return tap_error(origin, "SIOCGIFFLAGS");
    request.ifr_flags |= IFF_UP;
    if (ioctl(control.get(), SIOCSIFFLAGS, &request) != 0) return tap_error(origin, "SIOCSIFFLAGS");
    return over(std::move(tap), origin);
}

Result<std::unique_ptr<TapNetwork>> TapNetwork::over(Fd tap, const std::string& origin) {
    std::unique_ptr<TapNetwork> network(new TapNetwork(std::move(tap)));
    network->buffer_.resize(sizeof(NetHeader) + ethernet::kMaxSuperFrame);
    network->cuts_udp_ = ioctl(network->tap_.get(), TUNSETOFFLOAD, TUN_F_CSUM | kUso) == 0;
    network->set_receive_offloads({});
    network->watch_.set_fd(network->tap_.get());
    TapNetwork& self = *network;
    if (!network->watch_.start(network->delivery_, {[&self] { self.fetch(); }, nullptr, nullptr})) {
        return tap_error(origin, "eventfd");
    }
    return network;
}

TapNetwork::~TapNetwork() { watch_.stop(); }

void TapNetwork::set_receive_offloads(NetworkOffloads offloads) {
    unsigned flags = 0;
    if (offloads.checksum) {
        flags = TUN_F_CSUM;
        if (offloads.tcp4) flags |= TUN_F_TSO4;
        if (offloads.tcp6) flags |= TUN_F_TSO6;
    }
    // Kernels before 6.2 do not know it.
    const unsigned uso = offloads.checksum && offloads.udp ? kUso : 0;
    if (uso != 0 && ioctl(tap_.get(), TUNSETOFFLOAD, flags | uso) == 0) return;
    // A descriptor without it sends complete frames, which every card takes.
    (void)!ioctl(tap_.get(), TUNSETOFFLOAD, flags);
}

size_t TapNetwork::transmit(std::span<const NetworkFrame> frames) {
    constexpr size_t kMostPieces = 64;
    for (size_t i = 0; i < frames.size(); ++i) {
        const NetworkFrame& frame = frames[i];
        if (frame.offload.segmentation == FrameOffload::Segmentation::kUdp && !cuts_udp_) {
            write_datagrams(frame);
            continue;
        }
        // The kernel wants to know where the headers end when it is to cut; it looks itself if 0.
        NetHeader header = to_net_header(frame.offload, 0);
        std::array<iovec, kMostPieces + 1> pieces;
        pieces[0] = {&header, sizeof header};
        std::vector<std::byte> together;
        size_t count = 1;
        if (frame.pieces.size() <= kMostPieces) {
            for (const Slice piece : frame.pieces) pieces[count++] = {piece.data(), piece.size()};
        } else {
            together.resize(frame.size);
            if (!gather_frame(frame, together)) continue;
            pieces[count++] = {together.data(), together.size()};
        }
        if (writev(tap_.get(), pieces.data(), static_cast<int>(count)) >= 0) continue;
        if (errno == EAGAIN) {
            watch_.want_write();
            return i;
        }
        // An interface that is down, or a frame the host does not want: lost, as on a wire.
    }
    return frames.size();
}

// Cut up here. What the interface does not take at once is lost, as datagrams may be.
void TapNetwork::write_datagrams(const NetworkFrame& frame) const {
    std::vector<std::byte> whole(frame.size);
    if (!gather_frame(frame, whole)) return;
    complete_frame(whole, frame.offload, [this](std::span<const std::byte> out) {
        NetHeader none{};
        const std::array<iovec, 2> pieces{
            {{&none, sizeof none}, {const_cast<std::byte*>(out.data()), out.size()}}};
        (void)!writev(tap_.get(), pieces.data(), pieces.size());
    });
}

void TapNetwork::fetch() {
    constexpr int kBatch = 64;  // before the card gets to see them
    for (int i = 0; i < kBatch; ++i) {
        const ssize_t size = read(tap_.get(), buffer_.data(), buffer_.size());
        if (size < 0 && errno != EAGAIN && errno != EINTR) watch_.set_fd(-1);  // it is gone
        if (size <= 0) return;
        NetHeader header;
        if (static_cast<size_t>(size) < sizeof header + ethernet::kHeaderSize) continue;
        std::memcpy(&header, buffer_.data(), sizeof header);
        const auto frame =
            std::span(buffer_).subspan(sizeof header, static_cast<size_t>(size) - sizeof header);
        FrameOffload offload;
        if (from_net_header(header, frame.size(), offload)) (void)delivery_.push(frame, offload);
    }
}

}  // namespace mynah
