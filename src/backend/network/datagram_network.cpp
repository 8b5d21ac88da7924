#include "backend/network/datagram_network.h"

#include <fmt/core.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "backend/network/ethernet.h"
#include "backend/network/segmentation.h"
#include "backend/network/unix_address.h"

namespace mynah {

DatagramNetwork::DatagramNetwork(Fd socket, std::string local_path, std::string peer_path)
    : socket_(std::move(socket)),
      local_path_(std::move(local_path)),
      peer_path_(std::move(peer_path)),
      buffer_(ethernet::kMaxSuperFrame),
      whole_(ethernet::kMaxSuperFrame) {}

Result<std::unique_ptr<DatagramNetwork>> DatagramNetwork::open(const std::string& local_path,
                                                               const std::string& peer_path,
                                                               const std::string& origin) {
    Fd socket = TRY(bind_unix_socket(local_path, SOCK_DGRAM, origin));
    std::unique_ptr<DatagramNetwork> network(
        new DatagramNetwork(std::move(socket), local_path, peer_path));
    network->watch_.set_fd(network->socket_.get());
    DatagramNetwork& self = *network;
    if (!network->watch_.start(network->delivery_, {[&self] { self.fetch(); }, nullptr, nullptr})) {
        return Error(fmt::format("{}: eventfd: {}", origin, std::strerror(errno)));
    }
    return network;
}

DatagramNetwork::~DatagramNetwork() {
    watch_.stop();
    unlink(local_path_.c_str());
}

void DatagramNetwork::fetch() {
    constexpr int kBatch = 64;  // before the card gets to see them
    for (int i = 0; i < kBatch; ++i) {
        ssize_t size;
        {
            MutexLock lock(mutex_);  // the socket may be being connected anew
            size = recv(socket_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
        }
        if (size < 0) return;
        if (static_cast<size_t>(size) < ethernet::kHeaderSize) continue;
        (void)delivery_.push(std::span(buffer_).first(static_cast<size_t>(size)));
    }
}

// False: the peer's queue is full. Connected, so that poll() tells when it no longer is.
bool DatagramNetwork::send_now(std::span<const std::byte> frame) {
    for (int attempt = 0; attempt < 2; ++attempt) {
        if (!connected_) connected_ = connect_unix_socket(socket_.get(), peer_path_, "").ok();
        if (!connected_) return true;  // nobody is there
        if (send(socket_.get(), frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
            return true;
        }
        if (errno == EAGAIN) return false;
        // The peer has gone, perhaps to come back under the same path.
        connected_ = false;
    }
    return true;
}

size_t DatagramNetwork::transmit(std::span<const NetworkFrame> frames) {
    MutexLock lock(mutex_);
    for (size_t i = 0; i < frames.size(); ++i) {
        const NetworkFrame& frame = frames[i];
        if (!gather_frame(frame, whole_)) continue;
        bool first = true, refused = false;
        complete_frame(std::span(whole_).first(frame.size), frame.offload,
                       [&](std::span<const std::byte> out) NO_THREAD_SAFETY_ANALYSIS {
                           const bool sent = send_now(out);
                           // Of a frame that was begun the rest is lost, and sent again by TCP.
                           if (!sent && first) refused = true;
                           first = false;
                       });
        if (refused) {
            watch_.want_write();
            return i;
        }
    }
    return frames.size();
}

}  // namespace mynah
