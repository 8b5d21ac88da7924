#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/network/network_backend.h"
#include "base/mutex.h"
#include "base/result.h"
#include "host/fd.h"

namespace mynah {

// Writes down what passes a backend, both ways, for Wireshark and tcpdump [pcap: IETF
// draft-ietf-opsawg-pcap, nanosecond variant]. Packets that are to be segmented are written whole,
// as captures on a host show them. A frame that the backend refuses and gets again is written
// twice.
class PcapRecorder final : public NetworkBackend, private NetworkSink {
  public:
    static constexpr uint32_t kMagic = 0xa1b23c4d, kSnapLength = 262144, kLinkEthernet = 1;

    // The file is emptied first; what was written is complete when the recorder goes. Error: names
    // `origin` ("--network …,pcap=FILE") and why.
    static Result<std::unique_ptr<PcapRecorder>> open(std::unique_ptr<NetworkBackend> inner,
                                                      const std::string& path,
                                                      const std::string& origin);
    ~PcapRecorder() override;

    void set_sink(NetworkSink* sink) override;
    NetworkOffloads transmit_offloads() const override { return inner_->transmit_offloads(); }
    void set_receive_offloads(NetworkOffloads offloads) override {
        inner_->set_receive_offloads(offloads);
    }
    size_t transmit(std::span<const NetworkFrame> frames) override;
    void receive_ready() override { inner_->receive_ready(); }
    bool link_up() const override { return inner_->link_up(); }
    void look() override { inner_->look(); }

  private:
    PcapRecorder(std::unique_ptr<NetworkBackend> inner, Fd file, std::string path);
    size_t receive(std::span<const NetworkFrame> frames) override;
    void transmit_ready() override { sink_->transmit_ready(); }
    void link_changed(bool up) override { sink_->link_changed(up); }
    void record(std::span<const NetworkFrame> frames) EXCLUDES(mutex_);
    void append(std::span<const std::byte> bytes) REQUIRES(mutex_);
    void append32(uint32_t value) REQUIRES(mutex_);
    void flush() REQUIRES(mutex_);

    static constexpr size_t kBuffer = 64 * 1024;

    const std::string path_;
    NetworkSink* sink_ = nullptr;  // changed only while nobody calls
    Mutex mutex_;
    Fd file_ GUARDED_BY(mutex_);
    std::vector<std::byte> buffer_ GUARDED_BY(mutex_);
    std::unique_ptr<NetworkBackend> inner_;  // last: it calls the rest
};

}  // namespace mynah
