#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/network/network_backend.h"
#include "device/network/i82540em_registers.h"
#include "device/network/i82540em_statistics.h"
#include "device/network/transmit_batch.h"
#include "memory/dma_view.h"

namespace mynah::i82540em {

// Puts frames together from descriptors [8254x 3.3]: legacy, context and data descriptors, with
// checksum insertion and TCP (UDP) segmentation. A frame's data may come in several calls.
// Segments of TCP are left together for a backend that cuts them itself. Single-threaded.
//
// Left out: inserting no check sequence (IFCS clear), as frames carry none here; half duplex.
class Transmitter {
  public:
    struct Settings {
        bool pad_short = false;       // TCTL.PSP
        bool vlan = false;            // CTRL.VME
        uint16_t vlan_type = 0x8100;  // VET
        NetworkOffloads offloads;     // of the backend
    };

    void reset();
    // Takes one descriptor. A descriptor of segmented data may yield more frames than the batch has
    // room for: then it is not finished, and is to be given again with an empty batch.
    [[nodiscard]] bool take(const TransmitDescriptor& descriptor, const Settings& settings,
                            const DmaView& dma, TransmitBatch& to, Statistics& statistics);

  private:
    struct Context {
        uint8_t ip_start = 0, ip_offset = 0, tu_start = 0, tu_offset = 0, header_length = 0;
        uint16_t ip_end = 0, tu_end = 0, mss = 0;
        bool tcp = false, ipv4 = false;
    };
    struct Sums {
        bool ip = false, transport = false;
    };

    void load_context(const TransmitDescriptor& descriptor);
    void begin(const TransmitDescriptor& descriptor, bool segmented);
    bool append(GuestPhys from, size_t length, const DmaView& dma, TransmitBatch& to,
                Statistics& statistics, const Settings& settings);
    size_t segment_limit(const Settings& settings) const;
    bool can_leave_whole(const Settings& settings) const;
    void finish(const TransmitDescriptor& descriptor, const Settings& settings, TransmitBatch& to,
                Statistics& statistics);
    void emit_segment(bool last, const Settings& settings, TransmitBatch& to,
                      Statistics& statistics);
    void fix_headers(std::span<std::byte> frame, bool last);
    void emit(std::span<std::byte> frame, FrameOffload offload, const Settings& settings,
              TransmitBatch& to, Statistics& statistics);
    FrameOffload insert_sums(std::span<std::byte> frame, const Settings& settings);

    Context plain_, segmenting_;
    bool in_frame_ = false;   // data of a frame is here, or is being thrown away
    bool segmented_ = false;  // TSE
    bool broken_ = false;     // the frame cannot be sent; wait for its end
    Sums sums_;
    bool tagged_ = false;
    uint16_t tag_ = 0;
    std::vector<std::byte> data_;   // of this frame; segmented: headers and payload not sent yet
    std::vector<std::byte> frame_;  // work space
    uint32_t payload_sent_ = 0;     // of a segmented packet, in bytes
    uint32_t segments_sent_ = 0;
    size_t taken_ = 0;  // bytes of the descriptor at hand
};

}  // namespace mynah::i82540em
