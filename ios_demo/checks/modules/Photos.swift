// SPDX-License-Identifier: Apache-2.0
// A stand-in for Photos, of what the app uses; see SwiftUI/View.swift.
import Foundation

/// documentation/photokit/phaccesslevel and phauthorizationstatus, iOS 14.
public enum PHAccessLevel: Sendable { case addOnly, readWrite }
public enum PHAuthorizationStatus: Sendable { case notDetermined, restricted, denied, authorized, limited }

/// documentation/photokit/phphotolibrary, iOS 8.
public final class PHPhotoLibrary: @unchecked Sendable {
  public class func shared() -> PHPhotoLibrary { fatalError() }
  /// documentation/photokit/phphotolibrary/requestauthorization(for:handler:), iOS 14.
  public class func requestAuthorization(for level: PHAccessLevel) async -> PHAuthorizationStatus { fatalError() }
  /// documentation/photokit/phphotolibrary/performchanges(_:completionhandler:), iOS 8. The block runs on a queue of its own.
  public func performChanges(_ change: @escaping @Sendable () -> Void) async throws { fatalError() }
}

/// documentation/photokit/phassetcreationrequest, iOS 9.
public final class PHAssetCreationRequest {
  public class func forAsset() -> PHAssetCreationRequest { fatalError() }
  public func addResource(with type: PHAssetResourceType, data: Data, options: PHAssetResourceCreationOptions?) {
    fatalError()
  }
}

/// documentation/photokit/phassetresourcetype, iOS 9.
public enum PHAssetResourceType: Sendable { case photo }

/// documentation/photokit/phassetresourcecreationoptions, iOS 9.
public final class PHAssetResourceCreationOptions {}
